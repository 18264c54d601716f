import FDHTTP
import HTTPProperties

/// The reading of one text, a line feed in it as it is.
func requests(_ text: String, limits: HTTPLimits = HTTPLimits()) -> Reading {
  Reading(Array(text.utf8), as: .requests, limits: limits)
}

func responses(_ text: String, to method: HTTPMethod = .get) -> Reading {
  Reading(Array(text.utf8), as: .responses(answering: method))
}

func chunks(_ text: String, limits: HTTPLimits = HTTPLimits()) -> Reading {
  Reading(Array(text.utf8), as: .body(.chunked), limits: limits)
}

/// A request with these fields beside Host.
func request(
  _ line: String = "POST / HTTP/1.1", _ fields: String..., host: String? = "a", body: String = ""
) -> String {
  let hostLine = host.map { "Host: \($0)\r\n" } ?? ""
  return line + "\r\n" + hostLine + fields.map { $0 + "\r\n" }.joined() + "\r\n" + body
}

extension Reading {
  /// The only message, complete and with nothing behind it.
  var only: Message? {
    messages.count == 1 && outcome == .wantsMore && messages[0].isComplete ? messages[0] : nil
  }
}

extension Message {
  func value(of name: Text) -> Text? { fields.first { $0.name == name }?.value }
}
