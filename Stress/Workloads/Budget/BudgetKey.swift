import Glibc

/// What instructions depend on besides the source: which budget is meant.
package enum BudgetKey {
  /// The name of the budget's file, such as `swift-6.3-x86_64-glibc-2.36.txt`.
  package static var fileName: String {
    "swift-\(swift)-\(architecture)-\(library).txt"
  }

  /// Such as `glibc-2.36`.
  private static var library: String {
    var text = [CChar](repeating: 0, count: 64)
    let length = confstr(Int32(_CS_GNU_LIBC_VERSION), &text, text.count)
    guard 2...text.count ~= length else { return "unknown" }
    let bytes = text[..<(length - 1)].map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self).replacing(" ", with: "-")
  }

  /// Which compiler has built this.
  private static var swift: String {
    #if compiler(>=6.5)
      "6.5-or-newer"
    #elseif compiler(>=6.4)
      "6.4"
    #else
      "6.3"
    #endif
  }

  private static var architecture: String {
    #if arch(x86_64)
      "x86_64"
    #elseif arch(arm64)
      "aarch64"
    #else
      "unknown"
    #endif
  }
}
