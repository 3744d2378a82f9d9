package jwt

// Payload returns the payload of a token that one of the keys has signed, whatever it says.
func Payload(keys *Keys, allowed []string, token string) ([]byte, error) {
	h, err := parseHeader(token, allowed)
	if err != nil {
		return nil, err
	}
	set, err := keys.current()
	if err != nil {
		return nil, err
	}
	k, err := set.find(h, allowed)
	if err != nil {
		return nil, err
	}
	return payloadOf(token, h, k)
}

// Remembered returns how many tokens are remembered.
func (t *Tokens) Remembered() int { return len(t.known.young) + len(t.known.old) }
