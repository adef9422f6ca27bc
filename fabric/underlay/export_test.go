package underlay

// HelloOfVersion is a request of another version: only what all have in common is right.
func HelloOfVersion(key []byte, version byte) []byte {
	k, err := helloKey(key)
	if err != nil {
		panic(err)
	}
	b := append([]byte{magic0, magic1, version, kindRequest}, make([]byte, 77)...)
	return append(b, mac(k, b)...)
}
