import CShims
import FDNet
import Glibc
import Logging
import SystemPackage
import TestKit
import Testing

@testable import ReverseProxy

@Suite("Writing the access log", .serialized, .ledger)
struct AccessLogTests {
  private func open(
    _ path: String, format: AccessLogConfiguration.Format = .combined, lanes: Int = 1,
    _ book: LogBook = LogBook()
  ) throws -> AccessLog {
    try AccessLog(
      AccessLogConfiguration(path: path, format: format), laneCount: lanes, book.logger)
  }

  private func append(_ target: String, to lane: AccessLog.Lane) {
    let (method, target, version) = (Array("GET".utf8), Array(target.utf8), Array("HTTP/1.1".utf8))
    var record = AccessRecord(client: .loopback(port: 1))
    record.method = method.span.bytes
    record.target = target.span.bytes
    record.version = version.span.bytes
    record.status = 200
    lane.append(record)
  }

  private func target(_ line: String) -> String { String(line.split(separator: " ")[6]) }

  @Test("every line of every loop is in the file, those of one loop in order")
  func severalLoops() async throws {
    try await withFolder { folder in
      let path = folder + "/log"
      let log = try open(path, lanes: 3)
      // Less than a lane holds, so that nothing is lost however late the writer gets its turn; then
      // once more, around the lane's end.
      let (rounds, part) = (TestRun.isSanitized ? 2 : 4, 3000)
      let count = rounds * part
      for round in 0..<rounds {
        await Crew.run(3) { lane in
          for number in round * part..<(round + 1) * part {
            append("/\(lane)/\(number)", to: log.lanes[lane])
          }
        }
        #expect(await eventually { lineCount(of: path) == 3 * part * (round + 1) })
      }
      log.close()
      #expect(log.statistics == AccessLog.Statistics(lines: 3 * count, lost: 0))
      let targets = lines(of: path).map(target)
      for lane in 0..<3 {
        let own = targets.filter { $0.hasPrefix("/\(lane)/") }
        #expect(own == (0..<count).map { "/\(lane)/\($0)" })
      }
      #expect(targets.count == 3 * count)
      var status = stat()
      stat(path, &status)
      #expect(status.st_mode & 0o777 & ~0o640 == 0)
    }
  }

  @Test("a line is in the file soon, without more of them, and stays when the log is opened again")
  func soon() async throws {
    try await withFolder { folder in
      let path = folder + "/log"
      for round in 1...2 {
        let log = try open(path, format: .json)
        append("/", to: log.lanes[0])
        #expect(await eventually { lineCount(of: path) == round })
        log.close()
        log.close()
        // Too late, and no crash.
        append("/late", to: log.lanes[0])
      }
      for line in lines(of: path) { #expect(FlatJSON.parse(line)?["target"] == "/") }
    }
  }

  @Test("after a rotation new lines are in a new file, and none is lost")
  func rotation() async throws {
    try await withFolder { folder in
      let path = folder + "/log"
      let log = try open(path)
      let lane = log.lanes[0]
      for number in 0..<100 {
        append("/\(number)", to: lane)
        guard number % 10 == 9 else { continue }
        rename(path, path + ".\(number / 10)")
        log.reopen()
        #expect(await eventually { access(path, F_OK) == 0 })
      }
      log.close()
      let files = (0..<10).map { lines(of: path + ".\($0)").map(target) }
      #expect(files == (0..<10).map { file in (0..<10).map { "/\(file * 10 + $0)" } })
      #expect(log.statistics.lost == 0)
    }
  }

  @Test("a file that cannot be opened again is written on")
  func failedRotation() async throws {
    try await withFolder { folder in
      let (path, book) = (folder + "/log", LogBook())
      let log = try open(path, book)
      rename(path, folder + "/old")
      mkdir(path, 0o700)
      log.reopen()
      #expect(await eventually { book.lines.contains { $0.contains("cannot be opened again") } })
      append("/", to: log.lanes[0])
      log.close()
      #expect(lines(of: folder + "/old").count == 1)
      rmdir(path)
    }
  }

  @Test("a path that cannot be written is refused, by its name")
  func refused() async {
    await withFolder { folder in
      mkfifo(folder + "/pipe", 0o600)
      for (path, reason) in [
        (folder, "Is a directory (errno 21): write the path of a file in it"),
        (folder + "/a/b", "No such file or directory (errno 2): make its folder first"),
        (folder + "/pipe", "(errno 6): start the program that reads this pipe first"),
      ] {
        let error = #expect(throws: AccessLogError.self) { try open(path) }
        let text = error?.description ?? ""
        #expect(text.hasPrefix("cannot write the access log to \(path.debugDescription): "))
        #expect(text.hasSuffix(reason))
      }
    }
  }

  @Test("a pipe that nobody empties never holds a loop up: lines are dropped and counted")
  func fullPipe() async throws {
    try await withFolder { folder in
      let (path, book) = (folder + "/pipe", LogBook())
      mkfifo(path, 0o600)
      let reader = Glibc.open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
      defer { close(reader) }
      let log = try open(path, lanes: 2, book)
      // Far more than the pipe and the lanes have room for.
      let count = 20_000
      await Crew.run(2) { lane in
        for number in 0..<count { append("/\(number)", to: log.lanes[lane]) }
      }
      #expect(log.statistics.lines == 2 * count)
      #expect(log.statistics.lost > 0)
      #expect(await eventually { book.lines.contains { $0.contains("were lost") } })
      log.close(within: .milliseconds(1))
      var bytes: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 1 << 16)
      while case let got = read(reader, &buffer, buffer.count), got > 0 { bytes += buffer[..<got] }
      // The last one may be cut.
      let whole = bytes.count { $0 == UInt8(ascii: "\n") }
      #expect(whole > 0)
      #expect(log.statistics.lost == 2 * count - whole)
    }
  }

  @Test("when a pipe's reader goes, writing ends without a signal, until the file is opened again")
  func vanishedReader() async throws {
    try await withFolder { folder in
      let (path, book) = (folder + "/pipe", LogBook())
      mkfifo(path, 0o600)
      let reader = Glibc.open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
      let log = try open(path, book)
      close(reader)
      for number in 1...3 {
        append("/lost", to: log.lanes[0])
        #expect(await eventually { log.statistics.lost == number })
      }
      #expect(await eventually { book.lines.contains { $0.contains("Broken pipe") } })
      let next = Glibc.open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
      defer { close(next) }
      log.reopen()
      var bytes: [UInt8] = []
      #expect(
        await eventually {
          append("/found", to: log.lanes[0])
          var buffer = [UInt8](repeating: 0, count: 4096)
          let count = read(next, &buffer, buffer.count)
          if count > 0 { bytes += buffer[..<count] }
          return !bytes.isEmpty
        })
      log.close()
      #expect(String(decoding: bytes, as: UTF8.self).contains("/found"))
    }
  }

  @Test("a full disk loses lines, which are counted, and the log goes on")
  func fullDisk() async throws {
    let book = LogBook()
    let log = try open("/dev/full", book)
    for number in 1...3 {
      append("/", to: log.lanes[0])
      #expect(await eventually { log.statistics.lost == number })
    }
    log.close()
    #expect(book.lines.contains { $0.contains("No space left on device") })
  }

  @Test("a file that takes a part now and then has whole lines, and the count of the others")
  func cutLines() async throws {
    try await withFolder { folder in
      let path = folder + "/pipe"
      mkfifo(path, 0o600)
      let reader = Glibc.open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
      defer { close(reader) }
      var random = SeededRandom(seed: 7)
      var file = try LogFile(path: path)
      var written: [UInt8] = []
      var given = 0
      func readSome(_ limit: Int) {
        var buffer = [UInt8](repeating: 0, count: limit)
        let count = read(reader, &buffer, limit)
        if count > 0 { written += buffer[..<count] }
      }
      for _ in 0..<400 {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...20, using: &random) {
          bytes += Array("<\(given):".utf8)
          bytes += [UInt8](repeating: 0x61, count: Int.random(in: 0...3000, using: &random))
          bytes += Array(">\n".utf8)
          given += 1
        }
        // In two pieces, as at the end of a ring.
        let cut = Int.random(in: 0...bytes.count, using: &random)
        for piece in [bytes[..<cut], bytes[cut...]] {
          piece.withUnsafeBytes { _ = file.write($0) { false } }
        }
        readSome(Int.random(in: 1...40_000, using: &random))
      }
      repeat { readSome(1 << 20) } while fdp_poll(reader, POLLIN, 0) & POLLIN != 0
      written += Array("\n".utf8)
      let whole = lines(in: written).filter { $0.hasPrefix("<") && $0.hasSuffix(">") }
      let numbers = whole.compactMap { Int($0.dropFirst().prefix { $0 != ":" }) }
      #expect(numbers.count == whole.count)
      #expect(numbers == numbers.sorted() && Set(numbers).count == numbers.count)
      #expect(
        whole.allSatisfy { $0.dropLast().drop { $0 != ":" }.dropFirst().allSatisfy { $0 == "a" } })
      #expect(file.lost > 0)
      #expect(numbers.count + file.lost == given)
    }
  }
}
