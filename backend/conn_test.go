package backend

import (
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

// White-box: seen from outside, the scheduler decides whether a request meets left-over bytes.

// proves F4
func TestAConnectionSettlesBeforeItIsUsedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		c := newConn(client)
		settled := false
		go func() {
			c.settle(true)
			settled = true
		}()
		synctest.Wait()
		assert.False(t, settled, "the reader has not looked yet")

		read := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 10))
			read <- err
		}()
		synctest.Wait()
		assert.True(t, settled, "nothing is left over")

		_, _ = server.Write([]byte("surplus"))
		assert.ErrorIs(t, <-read, errSurplus, "the request is not written yet")

		c.speak(nil)
		go func() {
			_, err := c.Read(make([]byte, 10))
			read <- err
		}()
		_, _ = server.Write([]byte("answer"))
		assert.NoError(t, <-read)
		_ = c.Close()
		c.settle(true) // closed, so there is nothing to wait for
		_ = server.Close()
	})
}
