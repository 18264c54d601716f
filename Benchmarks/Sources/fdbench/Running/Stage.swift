import Glibc

/// Where programs are found and started, and what ends them all.
final class Stage {
  /// The executables of this package, and of the one that it measures.
  private let folders: [String]
  /// For configurations and logs; gone when we are.
  let folder: String
  private var ports = Ports()
  private var children: [ChildProcess] = []

  /// - Parameter folders: where our own programs are.
  init(programsIn folders: [String]) throws(Failure) {
    self.folders = folders
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    folder = "\(parent)/fdbench-\(getpid())"
    try Files.makeFolder(folder)
  }

  func tearDown() {
    for child in children.reversed() { child.stop() }
    children = []
    Files.remove(folder: folder)
  }

  /// The path of a program, if it is there.
  func path(of program: String) -> String? {
    let path = getenv("PATH").map { String(cString: $0) } ?? ""
    let places = folders + path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin"]
    return places.lazy.map { "\($0)/\(program)" }.first(where: Files.isExecutable)
  }

  /// Why a subject cannot be measured here.
  func whatLacks(_ subject: Subject) -> String? {
    for program in [subject.program, subject.backend].compactMap({ $0 })
    where path(of: program) == nil {
      return "\(program) is not installed"
    }
    return nil
  }

  func start(
    _ program: String, _ arguments: [String], on cores: Cores, talks: Bool = false
  ) throws(Failure) -> ChildProcess {
    guard let path = path(of: program) else { throw Failure("\(program) is not installed") }
    children.removeAll { !$0.isRunning }
    let child = try ChildProcess(
      [path] + arguments, on: cores, talks: talks, log: "\(folder)/\(program).log")
    children.append(child)
    return child
  }

  /// What a program says until it ends, in both its outputs; nil if it is not there, fails, or takes
  /// longer than ten seconds.
  func output(of program: String, _ arguments: [String]) -> String? {
    let log = "\(folder)/\(program).out"
    unlink(log)
    guard let path = path(of: program),
      let child = try? ChildProcess([path] + arguments, on: .other, talks: false, log: log)
    else { return nil }
    defer { child.stop() }
    return child.hasEnded(withinSeconds: 10) && child.status == 0 ? Files.read(log) : nil
  }
}

// MARK: - Servers

/// A subject at work.
struct Server {
  let port: Int
  let processes: ProcessTree
  /// Those of its backends, too.
  let all: ProcessTree
  fileprivate let children: [ChildProcess]

  func stop() { for child in children { child.stop() } }
}

extension Stage {
  /// Starts a subject, and what is behind it, and waits until they answer.
  func serve(
    _ subject: Subject, _ placement: Placement, backends: Int = 1
  ) throws(Failure) -> Server {
    var started: [ChildProcess] = []
    do throws(Failure) {
      var backendPorts: [Int] = []
      if let backend = subject.backend {
        for _ in 0..<backends {
          let port = try ports.next()
          let threads = placement == .bothCores ? "2" : "1"
          let child = try start(backend, ["\(port)", threads], on: placement.backend)
          started.insert(child, at: 0)
          try awaitAnswer(of: child, at: port)
          backendPorts.append(port)
        }
      }
      let place = Place(port: try ports.next(), backendPorts: backendPorts, folder: folder)
      let child = try start(
        subject.program, try subject.arguments(subject, place), on: placement.server)
      started.insert(child, at: 0)
      try awaitAnswer(of: child, at: place.port)
      let tree = ProcessTree(child.pid)
      return Server(
        port: place.port, processes: tree,
        all: ProcessTree(tree.pids + started.dropFirst().map(\.pid)), children: started)
    } catch {
      for child in started { child.stop() }
      throw error
    }
  }

  private func awaitAnswer(of child: ChildProcess, at port: Int) throws(Failure) {
    let limit = Limit(seconds: 10)
    while !Ports.answers(port) {
      guard child.isRunning else {
        throw Failure(
          "\(child.name) ended with \(child.status ?? 0) at its start\(child.lastWords)")
      }
      guard !limit.hasPassed else {
        throw Failure("\(child.name) does not answer at port \(port) after 10 s\(child.lastWords)")
      }
      try Interruption.sleep(milliseconds: 2)
    }
    // One of several threads has answered; the others are about to.
    try Interruption.sleep(milliseconds: 20)
  }
}
