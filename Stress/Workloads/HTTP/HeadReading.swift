import FDHTTP

/// The head of a message, read again and again by one reader.
final class HeadReading: Repetitions {
  /// Which head.
  enum Head {
    case request40
    case request200
    case request1K
    case request4K
    case request16K
    case response200
  }

  fileprivate let head: Head
  fileprivate let bytes: [UInt8]
  fileprivate let reader = HTTPHeadReader()

  init(_ head: Head) {
    self.head = head
    bytes =
      switch head {
      case .request40: HeadText.request(fields: 0, bytes: 40)
      case .request200: HeadText.request(fields: 4, bytes: 200)
      case .request1K: HeadText.request(fields: 15, bytes: 1 << 10)
      case .request4K: HeadText.request(fields: 39, bytes: 4 << 10)
      case .request16K: HeadText.request(fields: 79, bytes: 16 << 10)
      case .response200: HeadText.response(fields: 3, bytes: 200)
      }
  }

  func run(_ count: Int) -> Duration { timed { readHeads(self, count) } }
}

@_silgen_name("workload_head")
@inline(never)
func readHeads(_ it: HeadReading, _ count: Int) {
  let text = it.bytes
  let bytes = text.span.bytes
  let isResponse = it.head == .response200
  for _ in 0..<count {
    let end = try? isResponse ? it.reader.readResponse(bytes) : it.reader.readRequest(bytes)
    guard end == bytes.byteCount else { preconditionFailure("the head is in order") }
  }
}
