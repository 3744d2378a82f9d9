package idempotency

// ParseKey is what a request's Idempotency-Key says.
var ParseKey = parseKey

// Reread reads a value and writes it again.
func Reread(b []byte) ([]byte, error) {
	v, err := readValue(b)
	if err != nil {
		return nil, err
	}
	return v.form(), nil
}
