/// Finds what somebody may have meant.
enum NearestWord {
  /// The word that fewest changes lead to, if they are few enough to be a slip.
  static func to(_ word: String, among words: [String]) -> String? {
    let nearest = words.map { ($0, distance(word, $0)) }.min { $0.1 < $1.1 }
    guard let nearest, nearest.1 <= max(2, word.count / 3) else { return nil }
    return nearest.0
  }

  /// How many letters have to be put in, left out or replaced.
  static func distance(_ first: String, _ second: String) -> Int {
    let second = Array(second)
    // Of what has been read of the first word to each beginning of the second.
    var row = Array(0...second.count)
    for (count, letter) in first.enumerated() {
      var diagonal = row[0]
      row[0] = count + 1
      for (index, other) in second.enumerated() {
        let replaced = diagonal + (letter == other ? 0 : 1)
        diagonal = row[index + 1]
        row[index + 1] = min(replaced, row[index] + 1, diagonal + 1)
      }
    }
    return row[second.count]
  }
}
