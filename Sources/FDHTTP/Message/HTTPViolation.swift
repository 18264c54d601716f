/// Why a message is refused: it breaks a rule of RFC 9112 or a limit, or two parsers could read it
/// differently.
public struct HTTPViolation: Error, Sendable, Equatable {
  /// What is wrong.
  public let reason: Reason

  /// One case for each rule, its text for the log.
  public enum Reason: String, Sendable, CaseIterable {
    case requestLineTooLong = "the request line is longer than its limit"
    case headTooLong = "the head is longer than its limit"
    case tooManyFields = "there are more fields, or Connection names more, than the limit"
    case malformedMethod = "the method is no token"
    case malformedTarget = "the request target has a character that must not be in it"
    case targetForm = "the request target is of none of the forms that its method may have"
    case malformedVersion = "there is no HTTP version where it should be"
    case unsupportedVersion = "the HTTP version is neither 1.0 nor 1.1"
    case malformedStatus = "the status line has no status of three digits from 100 to 599"
    case bareCarriageReturn = "a carriage return without a line feed"
    case bareLineFeed = "a line feed without a carriage return"
    case foldedLine = "a line begins with white space"
    case emptyFieldName = "a field has no name"
    case malformedFieldName = "a field's name is no token, or white space stands before its colon"
    case malformedFieldValue = "a field's value has a control character"
    case missingHost = "there is no Host"
    case repeatedHost = "Host is repeated"
    case malformedHost = "Host is no authority"
    case contradictingHost = "Host and the request target name different authorities"
    case repeatedContentLength = "Content-Length is repeated or a list"
    case malformedContentLength = "Content-Length is no decimal number"
    case lengthAndEncoding = "both Content-Length and Transfer-Encoding are given"
    case repeatedTransferEncoding = "Transfer-Encoding is repeated or a list"
    case unsupportedTransferEncoding = "a transfer coding other than chunked"
    case encodingInHTTP10 = "Transfer-Encoding in an HTTP/1.0 message"
    case encodingNotAllowed = "Transfer-Encoding in a message that has no body"
    case connectionNamesEssential = "Connection names a field that every recipient needs"
    case malformedChunkSize = "a chunk's size is no hexadecimal number, or too large"
    case malformedChunkExtension = "a chunk extension is no name, or no name and value"
    case chunkExtensionTooLong = "chunk extensions are longer than their limit"
    case missingChunkEnd = "a chunk's data is not followed by an end of line"
    case essentialTrailer = "a trailer field is one that must be in the head"
    case unsupportedExpectation = "an expectation other than 100-continue"
  }

  init(_ reason: Reason) { self.reason = reason }

  /// The status with which a server answers.
  public var status: HTTPStatus {
    switch reason {
    case .requestLineTooLong: .uriTooLong
    case .headTooLong, .tooManyFields: .requestHeaderFieldsTooLarge
    case .unsupportedVersion: .httpVersionNotSupported
    case .unsupportedTransferEncoding: .notImplemented
    case .unsupportedExpectation: .expectationFailed
    default: .badRequest
    }
  }
}

extension HTTPViolation: CustomStringConvertible {
  /// The reason in words.
  public var description: String { reason.rawValue }
}
