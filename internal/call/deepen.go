package call

// deepen gives a new goroutine the stack that a call needs. To grow a stack costs more the more
// functions are on it, and most tasks would do that deep inside of a backend.
//
//go:noinline
func deepen(i byte) byte {
	var room [4 << 10]byte
	return room[i]
}
