import FDAsync
import FDHTTP
import FDNet
import FDPoller

/// HTTP/1.1 with `await`: the framing of FDHTTP on connections of FDAsync.
struct AsyncHTTP: Server {
  private let service: Task<Void, Never>

  init(at address: SocketAddress, on poller: Poller) throws(ListenError) {
    let listener = try AsyncListener(address, on: poller)
    let tools = poller.loops.map { _ in HTTPTools() }
    service = Task.detached {
      await listener.serve { client in
        let tools = tools[client.connection.loop.index]
        var requests = RequestStream()
        while try await client.read({ requests.answer($0, to: client, with: tools) }) == true {
          try await client.drained()
        }
      }
    }
  }

  func close() { service.cancel() }
}

/// The requests of one client, as far as they have come.
struct RequestStream: ~Copyable {
  /// The beginning of a head whose rest has not come.
  private var beginning: [UInt8] = []
  /// The body of the request that was read last.
  private var body = HTTPBodyReader(.length(0))
  private var isLast = false
  private var isHead = false

  /// Answers the requests that are complete.
  ///
  /// - Returns: whether there may be others.
  mutating func answer(
    _ bytes: RawSpan, to client: AsyncConnection, with tools: HTTPTools
  ) -> Bool {
    tools.begin()
    do throws(HTTPViolation) {
      if beginning.isEmpty {
        let used = try read(bytes, tools)
        if used < bytes.byteCount { keep(bytes.extracting(used...)) }
      } else {
        keep(bytes)
        var whole: [UInt8] = []
        swap(&whole, &beginning)
        let used = try read(whole.span.bytes, tools)
        if used < whole.count { keep(whole.span.bytes.extracting(used...)) }
      }
    } catch {
      isLast = true
      body = HTTPBodyReader(.length(0))
      tools.refuse()
    }
    if !tools.output.isEmpty { client.write(tools.output) }
    return !(isLast && body.isComplete)
  }

  private mutating func keep(_ bytes: RawSpan) {
    bytes.withUnsafeBytes { beginning.append(contentsOf: $0) }
  }

  /// - Returns: how many bytes have been read.
  private mutating func read(_ bytes: RawSpan, _ tools: HTTPTools) throws(HTTPViolation) -> Int {
    var offset = 0
    while offset < bytes.byteCount && !(isLast && body.isComplete) {
      if body.isComplete {
        let rest = bytes.extracting(offset...)
        guard let length = try tools.reader.readRequest(rest) else { break }
        let head = tools.reader.request(in: rest)
        isLast = !head.keepsAlive || head.minorVersion == 0
        isHead = head.knownMethod == .head
        body = HTTPBodyReader(head.framing)
        offset += length
      } else {
        switch try body.next(bytes, from: offset, trailers: tools.reader) {
        case .data(let range): offset = range.upperBound
        case .end(let end): offset = end
        case .incomplete: offset = bytes.byteCount
        }
      }
      if body.isComplete { tools.greet(isLast: isLast, withBody: !isHead) }
    }
    return offset
  }
}
