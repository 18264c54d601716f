import Glibc

/// What it was measured on, and with what.
struct Machine {
  /// Lines of name and value.
  let facts: [(name: String, value: String)]

  static let ownPID = getpid()

  /// Of the whole machine, which /proc/stat sums up.
  static var processors: Int { Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

  /// - Parameter resolved: the file with the versions of the packages.
  init(_ stage: Stage, resolved: String) {
    var facts: [(String, String)] = []
    let cpuinfo = Files.read("/proc/cpuinfo") ?? ""
    let model = Self.value(of: "model name", in: cpuinfo, after: ":") ?? "unknown model"
    facts.append(("processors", "\(Self.processors), \(model)"))
    let memory = Files.read("/proc/meminfo").flatMap {
      Self.value(of: "MemTotal", in: $0, after: ":")
    }
    if let kilobytes = memory?.split(separator: " ").first.flatMap({ Double($0) }) {
      facts.append(("memory", decimal(kilobytes / 1_048_576, 1) + " GiB"))
    }
    facts.append(("kernel", Files.read("/proc/sys/kernel/osrelease")?.firstLine ?? "unknown"))
    if let text = Files.read("/etc/os-release"),
      let name = Self.value(of: "PRETTY_NAME", in: text, after: "=")
    {
      facts.append(("system", name.filter { $0 != "\"" }))
    }
    facts.append(("load before", Files.read("/proc/loadavg")?.firstLine ?? "unknown"))
    facts.append(("open descriptors", "\(DescriptorLimit.current)"))
    for (name, program, arguments) in [
      ("commit", "git", ["describe", "--always", "--dirty"]),
      ("Swift", "swift", ["--version"]), ("C", "cc", ["--version"]),
      ("nginx", "nginx", ["-v"]), ("HAProxy", "haproxy", ["-v"]),
    ] {
      let text = stage.output(of: program, arguments)?.firstLine ?? "not found"
      facts.append((name, text))
    }
    if let libuv = stage.output(of: "pkg-config", ["--modversion", "libuv"])?.firstLine {
      facts.append(("libuv", libuv))
    }
    let text = Files.read(resolved) ?? ""
    for (name, identity) in [("SwiftNIO", "swift-nio"), ("Hummingbird", "hummingbird")] {
      if let version = Self.version(of: identity, in: text) { facts.append((name, version)) }
    }
    self.facts = facts
  }

  private static func value(of key: String, in text: String, after sign: Character) -> String? {
    for line in text.split(separator: "\n") where line.hasPrefix(key) {
      guard let index = line.firstIndex(of: sign) else { continue }
      let value = line[line.index(after: index)...].drop { $0 == " " || $0 == "\t" }
      return String(value)
    }
    return nil
  }

  /// Of a package in Package.resolved.
  static func version(of identity: String, in text: String) -> String? {
    var isIt = false
    for line in text.split(separator: "\n") {
      let words = line.split(separator: "\"", omittingEmptySubsequences: false)
      guard words.count > 3 else { continue }
      if words[1] == "identity" { isIt = words[3] == identity }
      if isIt, words[1] == "version" { return String(words[3]) }
    }
    return nil
  }
}

extension String {
  var firstLine: String {
    split(separator: "\n").first.map(String.init) ?? ""
  }
}
