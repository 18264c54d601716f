import CShims
import Glibc
import SystemPackage

/// A thread for one call.
enum BriefThread {
  private final class Call {
    let body: () -> Void

    init(_ body: @escaping () -> Void) { self.body = body }
  }

  /// Runs the body on a thread that exists for it alone, and waits for its end.
  ///
  /// - Throws: `PollerError.kernelRefused` if there is no thread to be had.
  static func run<Result>(
    named name: String, _ body: () throws(PollerError) -> Result
  ) throws(PollerError) -> Result {
    var outcome: Swift.Result<Result, PollerError>?
    try withoutActuallyEscaping(body) { body throws(PollerError) in
      let call = Call {
        do throws(PollerError) {
          outcome = .success(try body())
        } catch {
          outcome = .failure(error)
        }
      }
      var thread = pthread_t()
      let context = Unmanaged.passRetained(call)
      let result = fdp_thread_start(
        &thread, name,
        { context in
          Unmanaged<Call>.fromOpaque(context.unsafelyUnwrapped).takeRetainedValue().body()
        }, context.toOpaque())
      guard result == 0 else {
        context.release()
        throw .kernelRefused("start a thread", Errno(rawValue: -result))
      }
      fdp_thread_join(thread)
    }
    return try outcome.unsafelyUnwrapped.get()
  }
}
