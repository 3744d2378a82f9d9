//go:build unix && !aix && !solaris

package h1

import (
	"net"
	"syscall"
)

// An eye looks at a connection without taking what has arrived.
type eye struct {
	raw  syscall.RawConn
	look func(fd uintptr) bool // made once, so that a look allocates nothing
	none bool                  // nothing has arrived, and the connection is open
	one  [1]byte
}

func (e *eye) init(c net.Conn) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	e.raw = raw
	e.look = func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), e.one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		e.none = err == syscall.EAGAIN
		return true
	}
}

// sees reports whether the eye can look at its connection.
func (e *eye) sees() bool { return e.raw != nil }

// quiet reports whether the connection is open and nothing has arrived on it.
func (e *eye) quiet() bool {
	e.none = false
	return e.raw.Read(e.look) == nil && e.none
}
