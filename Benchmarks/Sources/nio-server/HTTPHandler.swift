import NIOCore
import NIOHTTP1
import NIOPosix

/// What every request is answered with.
enum Greeting {
  static let text = "Hello, World!"
  static let headers: HTTPHeaders = ["Content-Type": "text/plain", "Content-Length": "13"]

  static func head(keepsAlive: Bool) -> HTTPResponseHead {
    var head = HTTPResponseHead(version: .http1_1, status: .ok, headers: headers)
    if !keepsAlive { head.headers.add(name: "Connection", value: "close") }
    return head
  }
}

/// Answers every request with the same text.
final class HTTPHandler: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let head = Greeting.head(keepsAlive: true)
  private let lastHead = Greeting.head(keepsAlive: false)
  private let body = ByteBuffer(string: Greeting.text)
  private var keepsAlive = true

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch Self.unwrapInboundIn(data) {
    case .head(let head): keepsAlive = head.isKeepAlive
    case .body: break
    case .end: answer(context)
    }
  }

  private func answer(_ context: ChannelHandlerContext) {
    context.write(Self.wrapOutboundOut(.head(keepsAlive ? head : lastHead)), promise: nil)
    context.write(Self.wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
    guard !keepsAlive else {
      return context.write(Self.wrapOutboundOut(.end(nil)), promise: nil)
    }
    let context = NIOLoopBound(context, eventLoop: context.eventLoop)
    context.value.writeAndFlush(Self.wrapOutboundOut(.end(nil)))
      .whenComplete { _ in context.value.close(promise: nil) }
  }

  func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }

  static func serve(_ bootstrap: ServerBootstrap, _ port: UInt16) async throws {
    let server =
      try await bootstrap
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          // Every answer is given within its request's event, so they are in order without help.
          try pipeline.configureHTTPServerPipeline(withPipeliningAssistance: false)
          try pipeline.addHandler(HTTPHandler())
        }
      }
      .bind(host: "127.0.0.1", port: Int(port)).get()
    try await server.closeFuture.get()
  }
}
