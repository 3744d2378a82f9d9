package main

import (
	"errors"
	"net"
	"net/http/httptrace"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/pipe"
)

func TestHedgesThatWonAreThoseThatWereSentLater(t *testing.T) {
	t.Parallel()
	c := newCounts(nil)
	for _, note := range [][2]string{{"hedge", "2 of 2"}, {"won", "1 of 2"}, {"lost", "2 of 2"}, {"hedge", "2 of 2"}, {"won", "2 of 2"}, {"limited", ""}} {
		c.Note(note[0], note[1])
	}
	assert.EqualValues(t, 2, c.sent.Load())
	assert.EqualValues(t, 1, c.won.Load())
}

func TestATryIsCountedOnce(t *testing.T) {
	t.Parallel()
	there, refused := net.Pipe()
	defer there.Close()
	defer refused.Close()
	c := newCounts(map[string]string{"a": "pipe", "b": "192.0.2.1:80"})
	calls := func(s *pipe.Step) *httptrace.ClientTrace {
		ctx, _ := c.Enter(t.Context(), s, nil)
		return httptrace.ContextClientTrace(ctx)
	}
	assert.Nil(t, calls(&pipe.Step{Kind: "hedge"}))
	trace := calls(&pipe.Step{Kind: "backend"})
	trace.ConnectDone("tcp", "192.0.2.1:80", nil)
	assert.Zero(t, c.tries["b"], "it has no connection yet")
	trace.ConnectDone("tcp", "192.0.2.1:80", errors.New("connection refused"))
	trace.GotConn(httptrace.GotConnInfo{Conn: there})
	calls(&pipe.Step{Kind: "backend"}).GotConn(httptrace.GotConnInfo{Conn: there})
	assert.Equal(t, map[string]int64{"a": 1, "b": 1}, c.tries)
}
