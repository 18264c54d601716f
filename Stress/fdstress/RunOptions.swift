public import ArgumentParser
import FDAtomics
import FDDelays
public import FDPoller
import SplitMask
import StressKit

/// What every run can be told.
struct RunOptions: ParsableArguments {
  @Option(help: "How long each storm lasts.")
  var seconds: Double?

  @Option(help: "The poller's threads, 2 to 64 (default: 8).")
  var threads: Int?

  @Option(help: "The poller's thread groups; as few as hold the threads if not given.")
  var groups: Int?

  @Option(help: "What the poller's threads wait with; auto is io_uring where it can be had.")
  var io = IOBackend.epoll

  @Option(help: "Repeats the choices of a run, which prints it; drawn at random if not given.")
  var seed: UInt64?

  @Option(
    help:
      "Who guards descriptors: what production runs, or the protocol before it (takeover-close)."
  )
  var `protocol` = Explore.Guard.oneWord

  @Option(help: "A defect of the split-mask protocol, by its name.")
  var defect: SplitMaskDefect?

  @OptionGroup(title: "Delays (builds with --traits SpinDelays)")
  var delays: DelayOptions

  @Flag(help: "One JSON object per run and line.")
  var json = false

  static let secondsByDefault = 10.0
  static let threadsByDefault = 8

  func validate() throws {
    if let seconds, !(seconds > 0 && seconds <= 86_400) {
      throw ValidationError("--seconds \(seconds) is not above 0 and at most a day")
    }
    guard defect == nil || `protocol` == .splitMask else {
      throw ValidationError("--defect is one of --protocol split-mask; the one word has none")
    }
    let threads = threads ?? Self.threadsByDefault
    guard 2...64 ~= threads else { throw ValidationError("--threads \(threads) is not 2 to 64") }
    let fewest = (threads + 15) / 16
    guard let groups else { return }
    guard fewest...threads ~= groups else {
      throw ValidationError(
        "--groups \(groups): \(threads) threads can be in \(fewest) to \(threads) groups")
    }
  }

  /// - Parameter seed: of this run.
  func parameters(seed: UInt64) throws -> StressParameters {
    var parameters = StressParameters(
      duration: .seconds(seconds ?? Self.secondsByDefault),
      threads: threads ?? Self.threadsByDefault, groups: groups, seed: seed)
    parameters.io = io
    parameters.custody = `protocol` == .oneWord ? .oneWord : .splitMask(defect)
    parameters.delays = try delays.plan(seed: seed)
    return parameters
  }

  var chosenSeed: UInt64 { seed ?? .random(in: 0 ... .max) }
}

/// Where threads lose time, how, and how often.
struct DelayOptions: ParsableArguments {
  @Option(help: "Where threads lose time: names of list --points with commas, or all.")
  var delayAt: String?

  @Option(help: "The length of a spin (default: 10000).")
  var delayIterations: Int?

  @Option(help: "How often, 0 to 1 (default: 0.05).")
  var delayChance: Double?

  @Option(help: "How: spin, yield, sleep, with commas (default: all three).")
  var delayKinds: String?

  @Option(help: "The length of a sleep in microseconds (default: 100).")
  var delaySleep: Int?

  func validate() throws {
    _ = try plan(seed: 0)
    let isAny =
      [delayAt, delayKinds].contains { $0 != nil } || delayChance != nil
      || delayIterations != nil || delaySleep != nil
    guard !isAny || StressParameters.delaysAreBuiltIn else {
      throw ValidationError("\(StressError.delaysAreNotBuiltIn)")
    }
  }

  /// - Returns: nil if no delay is asked for.
  func plan(seed: UInt64) throws -> DelayPlan? {
    guard
      delayAt != nil || delayIterations != nil || delayChance != nil || delayKinds != nil
        || delaySleep != nil
    else { return nil }
    var plan = DelayPlan(seed: seed)
    if let delayAt, delayAt != "all" { plan.points = try points(delayAt) }
    if let delayIterations {
      guard 0...10_000_000 ~= delayIterations else {
        throw ValidationError("--delay-iterations \(delayIterations) is not 0 to 10000000")
      }
      plan.iterations = delayIterations
    }
    if let delayChance {
      guard 0...1 ~= delayChance else {
        throw ValidationError("--delay-chance \(delayChance) is not 0 to 1")
      }
      plan.chance = delayChance
    }
    if let delaySleep {
      guard 0...10_000 ~= delaySleep else {
        throw ValidationError("--delay-sleep \(delaySleep) is not 0 to 10000")
      }
      plan.sleepMicroseconds = delaySleep
    }
    if let delayKinds { plan.kinds = try kinds(delayKinds) }
    return plan
  }

  private func points(_ text: String) throws -> Set<DelayPoint> {
    try Set(
      text.split(separator: ",", omittingEmptySubsequences: false).map { name in
        guard let point = DelayPoint(name: String(name)) else {
          throw ValidationError(
            "--delay-at: there is no place '\(name)'; fdstress list --points tells which there are")
        }
        return point
      })
  }

  private func kinds(_ text: String) throws -> Set<DelayPlan.Kind> {
    try Set(
      text.split(separator: ",", omittingEmptySubsequences: false).map { name in
        guard let kind = DelayPlan.Kind(rawValue: String(name)) else {
          throw ValidationError("--delay-kinds: '\(name)' is none of spin, yield and sleep")
        }
        return kind
      })
  }
}

enum DelayPointNames {
  static var all: [(name: String, place: String)] {
    // No scenario here passes one of its own.
    DelayPoint.allCases.filter { $0 != .own }.map { ($0.name, $0.place) }
  }
}

extension IOBackend: ExpressibleByArgument {}
