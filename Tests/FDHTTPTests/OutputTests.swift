import Testing

@testable import FDHTTP

@Suite("The output of a loop")
struct OutputTests {
  @Test(
    "writes numbers with the digits that they have",
    arguments: [
      0, 9, 10, 99, 100, 12_345, 9_999_999_999_999_999_999, 10_000_000_000_000_000_000, .max,
    ] as [UInt64])
  func numbers(number: UInt64) {
    let output = HTTPOutput(capacity: 1)
    output.append(decimal: number)
    output.append("/")
    output.append(hexadecimal: number)
    var bytes: [UInt8] = []
    output.copy(to: &bytes)
    #expect(bytes == Array("\(number)/\(String(number, radix: 16))".utf8))
  }
}
