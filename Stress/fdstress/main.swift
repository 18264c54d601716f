import ArgumentParser
import CShims
import Glibc
import StressKit

/// Exit codes, as scripts see them.
enum Exit {
  static let violation: Int32 = 1
  static let usage: Int32 = 2
  static let notExhausted: Int32 = 3
  static let noProgress: Int32 = 4
}

/// The descriptors that so many loops need may be more than a shell allows by default.
_ = fdp_raise_descriptor_limit(1 << 16)

do {
  var command = try FDStress.parseAsRoot()
  try command.run()
} catch let verdict as StressReport.Verdict {
  exit(verdict == .noProgress ? Exit.noProgress : Exit.violation)
} catch let failure as ExplorationTally.Failure {
  exit(failure == .violation ? Exit.violation : Exit.notExhausted)
} catch {
  // Help is asked for, and no error.
  if FDStress.exitCode(for: error).isSuccess { FDStress.exit(withError: error) }
  let message = FDStress.fullMessage(for: error) + "\n"
  message.utf8.withContiguousStorageIfAvailable {
    _ = fdp_write(STDERR_FILENO, $0.baseAddress, $0.count)
  }
  exit(Exit.usage)
}
