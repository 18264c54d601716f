/// What the fuzzer calls with each input. It reports what traps.
@_cdecl("LLVMFuzzerTestOneInput")
func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  if let defect = HTTPProperties.defect(in: bytes, everyCut: false) { fatalError(defect) }
  return 0
}
