/// The word that the poller runs on. Nothing above this alias is generic over it.
public typealias CustodyWord = HardwareWord
