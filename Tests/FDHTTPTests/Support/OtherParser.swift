import Glibc

/// The HTTP parser that Node.js had, loaded if it is there. It is no dependency: its C structures are
/// laid out here by hand, as version 2.9 has them on 64-bit machines.
final class OtherParser {
  struct Message: Equatable {
    var isChunked = false
    /// Nil if Content-Length is not given.
    var length: UInt64?
    var keepsAlive: Bool?
    var body: [UInt8] = []
    var isComplete: Bool { keepsAlive != nil }
  }

  /// As `http_errno` numbers them.
  enum Refusal: UInt32 {
    case closedConnection = 13
    case invalidVersion, invalidStatus, invalidMethod, invalidURL, invalidHost, invalidPort
    case invalidPath, invalidQuery, invalidFragment, lineFeedExpected, invalidHeaderToken
    case invalidContentLength, unexpectedContentLength, invalidChunkSize, invalidConstant
    case internalState, strict, paused, unknown, invalidTransferEncoding
  }

  private(set) var messages: [Message] = []
  private(set) var refusal: Refusal?
  /// It stopped behind a head that asks for another protocol.
  private(set) var isUpgraded = false
  private let isAnswerToHead: Bool

  private typealias Notice = @convention(c) (UnsafeMutableRawPointer) -> CInt
  private typealias Data =
    @convention(c) (UnsafeMutableRawPointer, UnsafePointer<UInt8>, Int) -> CInt
  private typealias Initialize = @convention(c) (UnsafeMutableRawPointer, CInt) -> Void
  private typealias Execute =
    @convention(c) (UnsafeMutableRawPointer, UnsafeRawPointer, UnsafePointer<UInt8>?, Int) -> Int

  private nonisolated(unsafe) static let library = dlopen("libhttp_parser.so.2.9", RTLD_NOW)

  static var isThere: Bool { library != nil }

  private static func function<F>(_ name: String, as type: F.Type) -> F {
    unsafeBitCast(dlsym(library, name)!, to: F.self)
  }

  /// Offsets into `http_parser`, and its size.
  private enum Layout {
    static let flags = 0
    static let contentLength = 8
    /// The status in the lower half; the error in seven bits below the highest, which is `upgrade`.
    static let result = 20
    static let data = 24
    static let count = 32
  }

  /// - Parameters:
  ///   - bytes: one connection's.
  ///   - isRequests: what they are, otherwise responses.
  ///   - isAnswerToHead: of all the responses.
  init(_ bytes: [UInt8], isRequests: Bool, isAnswerToHead: Bool = false) {
    self.isAnswerToHead = isAnswerToHead
    let parser = UnsafeMutableRawPointer.allocate(byteCount: Layout.count, alignment: 8)
    let settings = UnsafeMutableRawPointer.allocate(byteCount: 80, alignment: 8)
    defer {
      parser.deallocate()
      settings.deallocate()
    }
    parser.initializeMemory(as: UInt8.self, repeating: 0, count: Layout.count)
    settings.initializeMemory(as: UInt8.self, repeating: 0, count: 80)
    Self.function("http_parser_init", as: Initialize.self)(parser, isRequests ? 0 : 1)
    parser.storeBytes(
      of: Unmanaged.passUnretained(self).toOpaque(), toByteOffset: Layout.data,
      as: UnsafeMutableRawPointer.self)
    let onHead: Notice = { OtherParser.of($0).noteHead($0) }
    let onBody: Data = { OtherParser.of($0).noteBody($1, $2) }
    let onEnd: Notice = { OtherParser.of($0).noteEnd($0) }
    settings.storeBytes(of: onHead, toByteOffset: 5 * 8, as: Notice.self)
    settings.storeBytes(of: onBody, toByteOffset: 6 * 8, as: Data.self)
    settings.storeBytes(of: onEnd, toByteOffset: 7 * 8, as: Notice.self)
    let execute = Self.function("http_parser_execute", as: Execute.self)
    _ = bytes.withUnsafeBufferPointer { execute(parser, settings, $0.baseAddress, $0.count) }
    let result = parser.load(fromByteOffset: Layout.result, as: UInt32.self)
    let code = result >> 24 & 0x7f
    refusal = code == 0 ? nil : Refusal(rawValue: code) ?? .unknown
    isUpgraded = result >> 31 != 0
  }

  private static func of(_ parser: UnsafeMutableRawPointer) -> OtherParser {
    let data = parser.load(fromByteOffset: Layout.data, as: UnsafeMutableRawPointer.self)
    return Unmanaged<OtherParser>.fromOpaque(data).takeUnretainedValue()
  }

  private func noteHead(_ parser: UnsafeMutableRawPointer) -> CInt {
    let flags = parser.load(fromByteOffset: Layout.flags, as: UInt32.self) >> 2
    let length = parser.load(fromByteOffset: Layout.contentLength, as: UInt64.self)
    messages.append(
      Message(isChunked: flags & 1 != 0, length: length == .max ? nil : length))
    // Its user has to say which responses have no body, whatever their length is: 1.
    let status = parser.load(fromByteOffset: Layout.result, as: UInt16.self)
    let isBodiless = 100..<200 ~= status || status == 204 || status == 304
    return isAnswerToHead || isBodiless ? 1 : 0
  }

  private func noteBody(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    messages[messages.count - 1].body += UnsafeBufferPointer(start: start, count: count)
    return 0
  }

  private func noteEnd(_ parser: UnsafeMutableRawPointer) -> CInt {
    let keepsAlive = Self.function("http_should_keep_alive", as: Notice.self)
    messages[messages.count - 1].keepsAlive = keepsAlive(parser) != 0
    return 0
  }
}
