import Interleave
import Testing

/// Explores a scenario under a model, and expects it to be proved.
@discardableResult
func expectProof(
  _ model: MemoryModel, location: SourceLocation = #_sourceLocation,
  _ scenario: (Setup) -> Void
) -> Report {
  let report = Explorer.explore(.init(model: model), scenario)
  #expect(report.isProved, "\(model): \(report)", sourceLocation: location)
  return report
}

/// Explores a scenario under a model, and expects a violation whose message says that, and whose
/// replay goes wrong in the same way.
@discardableResult
func expectViolation(
  _ message: String, _ model: MemoryModel, location: SourceLocation = #_sourceLocation,
  _ scenario: (Setup) -> Void
) -> Report.Violation? {
  let report = Explorer.explore(.init(model: model), scenario)
  let violation = report.violation
  #expect(
    violation?.message.contains(message) == true, "\(model): \(report)", sourceLocation: location)
  var again = Explorer.Options(model: model)
  again.replay = violation?.choices
  let replayed = Explorer.explore(again, scenario).violation
  #expect(replayed?.message == violation?.message, sourceLocation: location)
  #expect(replayed?.story == violation?.story, sourceLocation: location)
  return violation
}
