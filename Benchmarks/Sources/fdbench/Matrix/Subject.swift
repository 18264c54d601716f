/// A server that can be measured.
struct Subject: Sendable {
  /// Whose it is.
  enum Kind: String {
    case ours
    /// The least that the job can cost, in C.
    case floor
    case peer
  }

  let id: String
  let label: String
  let kind: Kind
  /// The name of its executable.
  let program: String
  /// The program behind it, if it is a proxy.
  var backend: String?
  var threads = 1
  /// The arguments that make it serve there.
  let arguments: @Sendable (Subject, Place) throws(Failure) -> [String]

  func with(threads: Int) -> Subject {
    var copy = self
    copy.threads = threads
    return copy
  }
}

/// Where a subject serves in one measurement.
struct Place {
  let port: Int
  let backendPorts: [Int]
  /// For its files.
  let folder: String

  /// - Returns: the path.
  func write(_ name: String, _ text: String) throws(Failure) -> String {
    let path = "\(folder)/\(port)-\(name)"
    try Files.write(text, to: path)
    return path
  }
}
