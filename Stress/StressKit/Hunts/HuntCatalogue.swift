/// All defects that can be hunted.
public enum HuntCatalogue {
  /// Those of the split-mask protocol first, which every build has, then those of the patches.
  public static let hunts = splitMask + patches

  /// What every build has.
  public static let builtIn = splitMask

  /// The hunt for a defect, by its name; `-` and `_`, small and capital letters are the same.
  public static func hunt(_ defect: String) -> Hunt? {
    let wanted = key(defect)
    return hunts.first { key($0.defect) == wanted }
  }

  private static func key(_ name: String) -> String {
    String(name.uppercased().map { $0 == "-" ? "_" : $0 })
  }
}
