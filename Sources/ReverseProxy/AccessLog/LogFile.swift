import CShims
import Glibc

/// The file that lines are written to. It only has whole lines, each once, whatever fails: a line of
/// which a part is missing ends where it was cut, and counts as lost.
///
/// Used by one thread.
struct LogFile: ~Copyable {
  let path: String
  private var descriptor: Int32
  /// A regular file takes what it is given. Anything else takes a page when it says that it takes
  /// something (pipe(7)), and is asked first, since others may hold it and need it to block.
  private let isRegular: Bool
  private static let pieceWhenAsked = 4096

  /// Its reader is gone: nothing can be written any more.
  private var isBroken = false
  /// The last byte in it.
  private var lastByte = newline
  /// The last line in it is cut, and has no end yet.
  private var isCut = false
  /// The next bytes are the rest of a line whose beginning was lost.
  private var isSkipping = false

  /// How many lines were given and are not in it.
  private(set) var lost = 0

  /// - Parameter path: `-` is the standard output.
  init(path: String) throws(AccessLogError) {
    self.path = path
    // Without O_NONBLOCK a pipe that nobody reads would be waited for.
    let flags = O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK
    descriptor = path == "-" ? fdp_duplicate(STDOUT_FILENO, 3) : fdp_open(path, flags, 0o640)
    guard descriptor >= 0 else { throw AccessLogError(path, -descriptor) }
    var status = stat()
    isRegular = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  deinit { _ = fdp_close(descriptor) }

  /// Writes bytes of which the last is the end of a line, or which are continued by the next call.
  ///
  /// - Parameter mayWait: whether a file that takes nothing is waited for; asked every 100 ms.
  /// - Returns: what has failed, as an errno.
  mutating func write(
    _ bytes: UnsafeRawBufferPointer, waitingWhile mayWait: () -> Bool
  ) -> Int32? {
    var rest = bytes[...]
    if isSkipping {
      let end = rest.firstIndex(of: Self.newline)
      lost += end == nil ? 0 : 1
      rest = rest[(end.map { $0 + 1 } ?? rest.endIndex)...]
      isSkipping = end == nil
    }
    while !rest.isEmpty && !isBroken {
      let waits = mayWait()
      switch writeOnce(UnsafeRawBufferPointer(rebasing: rest), waitingFor: waits ? 100 : 0) {
      case let count where count > 0:
        lastByte = rest[rest.startIndex + count - 1]
        rest.removeFirst(count)
      case 0, -Int(EAGAIN), -Int(EINTR):
        if waits { continue }
        drop(rest)
        return nil
      case let failure:
        isBroken = failure == -Int(EPIPE)
        drop(rest)
        return Int32(-failure)
      }
    }
    drop(rest)
    return nil
  }

  private static let newline = UInt8(ascii: "\n")

  /// - Parameter patience: in milliseconds.
  /// - Returns: how many of the bytes were written, or -errno.
  private mutating func writeOnce(
    _ bytes: UnsafeRawBufferPointer, waitingFor patience: Int32
  ) -> Int {
    if !isRegular {
      let ready = fdp_poll(descriptor, POLLOUT, patience)
      // An error is told by the write.
      guard ready > 0 else { return Int(ready) }
    }
    if isCut {
      var newline = Self.newline
      let count = fdp_write(descriptor, &newline, 1)
      guard count == 1 else { return count }
      (isCut, lastByte) = (false, Self.newline)
      if !isRegular { return writeOnce(bytes, waitingFor: patience) }
    }
    return fdp_write(
      descriptor, bytes.baseAddress, isRegular ? bytes.count : min(bytes.count, Self.pieceWhenAsked)
    )
  }

  private mutating func drop(_ rest: Slice<UnsafeRawBufferPointer>) {
    guard !rest.isEmpty else { return }
    for byte in rest where byte == Self.newline { lost += 1 }
    isSkipping = rest.last != Self.newline
    if lastByte != Self.newline { isCut = true }
  }
}
