package h1

import (
	"encoding/binary"
	"net"
	"time"
)

// A sealed is the wire below TLS. It follows the records that crypto/tls reads, which does not tell
// whether it has read the beginning of one.
type sealed struct {
	*wire
	blind bool    // Read has nothing to give
	head  [5]byte // of a record: its type, version and length
	have  int     // how much of head there is
	left  int     // how much of the record behind its head is to come
}

// Read reads what has arrived.
func (s *sealed) Read(p []byte) (int, error) {
	if s.blind {
		return 0, errBlind
	}
	n, err := s.wire.Read(p)
	s.follow(p[:n])
	return n, err
}

// SetWriteDeadline sets a deadline that is near. Only Close of crypto/tls sets one, for its alert, and
// a peer that does not read must not hold up who closes idle connections.
func (s *sealed) SetWriteDeadline(time.Time) error {
	return s.wire.SetWriteDeadline(time.Now().Add(grace))
}

// follow takes the next bytes of the records.
func (s *sealed) follow(b []byte) {
	for len(b) > 0 {
		if s.have < len(s.head) {
			n := copy(s.head[s.have:], b)
			s.have += n
			b = b[n:]
			if s.have < len(s.head) {
				return
			}
			s.left = int(binary.BigEndian.Uint16(s.head[3:]))
		}
		n := min(s.left, len(b))
		s.left -= n
		b = b[n:]
		if s.left == 0 {
			s.have = 0
		}
	}
}

// within reports whether a record has begun to arrive and is not there whole.
func (s *sealed) within() bool { return s.have > 0 }

// errBlind is the error of a Read that only crypto/tls sees, which goes on after a timeout.
var errBlind net.Error = blindError{}

type blindError struct{}

func (blindError) Error() string   { return "nothing is held" }
func (blindError) Timeout() bool   { return true }
func (blindError) Temporary() bool { return true }
