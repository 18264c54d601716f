/// A status code (RFC 9110, section 15).
public struct HTTPStatus: RawRepresentable, Sendable, Hashable {
  /// From 100 to 599.
  public let rawValue: UInt16

  /// - Parameter rawValue: from 100 to 599.
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// 100.
  public static var `continue`: Self { Self(rawValue: 100) }
  /// 101.
  public static var switchingProtocols: Self { Self(rawValue: 101) }
  /// 200.
  public static var ok: Self { Self(rawValue: 200) }
  /// 204.
  public static var noContent: Self { Self(rawValue: 204) }
  /// 304.
  public static var notModified: Self { Self(rawValue: 304) }
  /// 400.
  public static var badRequest: Self { Self(rawValue: 400) }
  /// 404.
  public static var notFound: Self { Self(rawValue: 404) }
  /// 405.
  public static var methodNotAllowed: Self { Self(rawValue: 405) }
  /// 408.
  public static var requestTimeout: Self { Self(rawValue: 408) }
  /// 413.
  public static var contentTooLarge: Self { Self(rawValue: 413) }
  /// 414.
  public static var uriTooLong: Self { Self(rawValue: 414) }
  /// 417.
  public static var expectationFailed: Self { Self(rawValue: 417) }
  /// 429.
  public static var tooManyRequests: Self { Self(rawValue: 429) }
  /// 431.
  public static var requestHeaderFieldsTooLarge: Self { Self(rawValue: 431) }
  /// 500.
  public static var internalServerError: Self { Self(rawValue: 500) }
  /// 501.
  public static var notImplemented: Self { Self(rawValue: 501) }
  /// 502.
  public static var badGateway: Self { Self(rawValue: 502) }
  /// 503.
  public static var serviceUnavailable: Self { Self(rawValue: 503) }
  /// 504.
  public static var gatewayTimeout: Self { Self(rawValue: 504) }
  /// 505.
  public static var httpVersionNotSupported: Self { Self(rawValue: 505) }

  /// Whether it is 1xx: another response follows.
  public var isInterim: Bool { rawValue < 200 }

  /// Whether it is 2xx.
  public var isSuccessful: Bool { 200...299 ~= rawValue }

  /// Whether a response with it never has a body, whatever its fields say (RFC 9112, section 6.3).
  public var isBodiless: Bool { isInterim || rawValue == 204 || rawValue == 304 }

  /// The phrase of the status line; empty for a code that this table does not have.
  public var phrase: StaticString {
    switch rawValue {
    case 100: "Continue"
    case 101: "Switching Protocols"
    case 200: "OK"
    case 201: "Created"
    case 202: "Accepted"
    case 204: "No Content"
    case 206: "Partial Content"
    case 301: "Moved Permanently"
    case 302: "Found"
    case 303: "See Other"
    case 304: "Not Modified"
    case 307: "Temporary Redirect"
    case 308: "Permanent Redirect"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 408: "Request Timeout"
    case 409: "Conflict"
    case 410: "Gone"
    case 413: "Content Too Large"
    case 414: "URI Too Long"
    case 417: "Expectation Failed"
    case 426: "Upgrade Required"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 501: "Not Implemented"
    case 502: "Bad Gateway"
    case 503: "Service Unavailable"
    case 504: "Gateway Timeout"
    case 505: "HTTP Version Not Supported"
    default: ""
    }
  }
}
