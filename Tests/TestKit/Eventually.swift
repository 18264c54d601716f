/// Waits until a condition holds, without blocking a thread.
///
/// - Parameters:
///   - deadline: generous, since it only matters when a test fails.
///   - condition: asked again and again.
/// - Returns: whether it came to hold.
public func eventually(
  within deadline: Duration = .seconds(60), _ condition: () async throws -> Bool
) async rethrows -> Bool {
  let end = ContinuousClock.now + deadline
  var pause = Duration.microseconds(200)
  while true {
    if try await condition() { return true }
    if ContinuousClock.now >= end { return false }
    try? await Task.sleep(for: pause)
    pause = min(pause * 2, .milliseconds(20))
  }
}

/// Whether a condition holds all the time that a test is willing to watch it.
public func always(
  for duration: Duration = .milliseconds(50), _ condition: () async -> Bool
) async -> Bool {
  let end = ContinuousClock.now + duration
  while ContinuousClock.now < end {
    guard await condition() else { return false }
    try? await Task.sleep(for: .milliseconds(2))
  }
  return await condition()
}
