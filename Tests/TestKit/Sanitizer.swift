import Glibc

/// What kind of run this is.
public enum TestRun {
  /// Whether the tests run under a sanitizer, which makes everything several times slower: `make`
  /// says so.
  public static let isSanitized = getenv("FD_SANITIZED") != nil
}
