import Glibc
import HTTPProperties
import TestKit
import Testing

@Suite("Whatever the bytes")
struct CorpusTests {
  @Test(
    "every input of the corpus is read the same wherever it is cut, and when it is written anew")
  func corpus() throws {
    let inputs = try Corpus.inputs()
    #expect(inputs.count > 50)
    for (name, bytes) in inputs {
      let isShort = bytes.count < (TestRun.isSanitized ? 60 : 200)
      if let defect = HTTPProperties.defect(in: bytes, everyCut: isShort) {
        Issue.record("\(name): \(defect)")
      }
    }
  }

}
