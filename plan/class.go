package plan

// String is the class in words.
func (c Class) String() string {
	switch c {
	case IntraPlane:
		return "intra-plane"
	case InterPlane:
		return "inter-plane"
	case Neighbour:
		return "neighbour"
	case InterShell:
		return "inter-shell"
	case Ground:
		return "ground"
	}
	return "unknown"
}

// String is the kind in words.
func (k NodeKind) String() string {
	if k == Station {
		return "station"
	}
	return "satellite"
}

// String is the role in a word, as router templates know it.
func (r Role) String() string {
	switch r {
	case RoleISL:
		return "isl"
	case RoleInterShell:
		return "intershell"
	case RoleGround:
		return "ground"
	case RoleAntenna:
		return "antenna"
	}
	return "unknown"
}
