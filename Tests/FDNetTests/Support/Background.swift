import Foundation
import TestKit
import Testing

/// A thread of a test, for what blocks: a thread of the concurrency pool must not.
final class Background<Value: Sendable>: @unchecked Sendable {
  private let result = Guarded<Result<Value, any Error>?>(nil)

  init(_ body: @escaping @Sendable () throws -> Value) {
    Thread.detachNewThread { [result] in
      let outcome = Result { try body() }
      result.value = outcome
    }
  }

  /// Waits for the thread to end, at most a minute.
  func value() async throws -> Value {
    try #require(await eventually(within: .seconds(60)) { result.value != nil })
    return try #require(result.value).get()
  }
}
