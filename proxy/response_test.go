package proxy_test

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluice-go/sluice/proxy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestContract and a digit name the clause of the contract in the doc of pipe.Pipe. Here:
//
//   - 4: the caller closes the response, and what the call holds is given back then.

// proves C4
func TestContract4CloseClosesTheBodyThenRunsCallbacksInReverse(t *testing.T) {
	t.Parallel()
	var seen []string
	res := &proxy.Response{Body: closeFunc(func() error { seen = append(seen, "body"); return nil })}
	for _, name := range []string{"first", "second", "third"} {
		res.OnClose(func() { seen = append(seen, name) })
	}
	assert.Empty(t, seen, "not before Close")
	require.NoError(t, res.Close())
	require.NoError(t, res.Close())
	assert.Equal(t, []string{"body", "third", "second", "first"}, seen)
}

// closeFunc is a body without bytes.
type closeFunc func() error

func (closeFunc) Read([]byte) (int, error) { return 0, io.EOF }
func (f closeFunc) Close() error           { return f() }

// proves C4
func TestContract4CloseOfNilAndOfNothingOpen(t *testing.T) {
	t.Parallel()
	var res *proxy.Response
	assert.NoError(t, res.Close())
	assert.NoError(t, new(proxy.Response).Close())
	assert.Zero(t, res.StatusCode(), "there is no answer")
	assert.Equal(t, http.StatusOK, new(proxy.Response).StatusCode())
	assert.Equal(t, 404, (&proxy.Response{Status: 404}).StatusCode())
}

// proves C4
func TestContract4OnCloseRunsAtOnceWhereNothingIsOpen(t *testing.T) {
	t.Parallel()
	ran := 0
	run := func() { ran++ }
	decoded := &proxy.Response{Document: asDocument(t, `{}`)}
	decoded.OnClose(run)
	assert.Equal(t, 1, ran, "a document is no open body")

	stream := &proxy.Response{Body: newBody("x")}
	require.NoError(t, stream.Close())
	stream.OnClose(run)
	assert.Equal(t, 2, ran, "after Close")
	require.NoError(t, stream.Close())
	require.NoError(t, decoded.Close())
	assert.Equal(t, 2, ran)

	tunnel := &proxy.Response{Status: 101, Upgrade: &countedConn{}}
	tunnel.OnClose(run)
	assert.Equal(t, 2, ran, "a tunnel is open")
	require.NoError(t, tunnel.Close())
	assert.Equal(t, 3, ran)
}

func TestCloseReturnsWhatClosingTheBodyReturned(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	ran := false
	res := &proxy.Response{Body: closeFunc(func() error { return boom })}
	res.OnClose(func() { ran = true })
	assert.ErrorIs(t, res.Close(), boom)
	assert.True(t, ran, "also then")
	assert.NoError(t, res.Close(), "only the first call has an effect")
}

func TestCloseClosesATunnel(t *testing.T) {
	t.Parallel()
	conn := &countedConn{}
	res := &proxy.Response{Status: 101, Upgrade: conn}
	require.NoError(t, res.Close())
	require.NoError(t, res.Close())
	assertClosedOnce(t, &conn.countedBody)
}

// proves C4
func TestContract4ConcurrentCloseAndOnCloseRunEverythingOnce(t *testing.T) {
	t.Parallel()
	for range 50 {
		body := newBody("x")
		res := &proxy.Response{Body: body}
		var ran atomic.Int32
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { _ = res.Close() })
			wg.Go(func() { res.OnClose(func() { ran.Add(1) }) })
		}
		wg.Wait()
		assertClosedOnce(t, body)
		assert.EqualValues(t, 4, ran.Load())
	}
}

// Callbacks give back slots and contexts, so a callback that panics must not prevent the others.
func TestEveryCallbackRunsWhenSomePanic(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		fail func()
	}{
		{"by a panic", func() { panic("bug") }},
		{"by Goexit", runtime.Goexit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var seen []int
			body := newBody("x")
			res := &proxy.Response{Body: body}
			for i := range 4 {
				res.OnClose(func() {
					seen = append(seen, i)
					if i%2 == 1 {
						tt.fail()
					}
				})
			}
			done := make(chan any)
			go func() {
				defer func() { done <- recover() }()
				_ = res.Close()
			}()
			<-done
			assert.Equal(t, []int{3, 2, 1, 0}, seen)
			assertClosedOnce(t, body)
		})
	}
	ran := false
	res := &proxy.Response{Body: closeFunc(func() error { panic("body") })}
	res.OnClose(func() { ran = true })
	upgrade := &countedConn{}
	res.Upgrade = upgrade
	old := &proxy.Response{Body: closeFunc(func() error { panic("old") })}
	old.Replace(res)
	assert.EqualError(t, res.Close(), "panic: body\npanic: old")
	assert.True(t, ran, "a body that panics neither")
	assert.EqualValues(t, 1, upgrade.closed.Load())
	assert.NoError(t, res.Close())
}

// proves C4
func TestContract4ReplaceMovesTheOwnership(t *testing.T) {
	t.Parallel()
	var seen []string
	closes := func(name string) io.ReadCloser {
		return closeFunc(func() error { seen = append(seen, name); return nil })
	}
	old := &proxy.Response{Body: closes("old body")}
	old.OnClose(func() { seen = append(seen, "old slot") })
	by := &proxy.Response{Body: closes("new body")}
	by.OnClose(func() { seen = append(seen, "new slot") })
	assert.Same(t, by, old.Replace(by))
	assert.Empty(t, seen, "the old body is open as long as the new one, which may read from it")
	require.NoError(t, by.Close())
	require.NoError(t, by.Close())
	require.NoError(t, old.Close())
	assert.Equal(t, []string{"new body", "old body", "old slot", "new slot"}, seen)
}

func TestReplaceByAResponseWithoutABodyClosesTheOld(t *testing.T) {
	t.Parallel()
	body := newBody("x")
	old := &proxy.Response{Body: body}
	by := old.Replace(&proxy.Response{Document: asDocument(t, `1`)})
	assertClosedOnce(t, body)
	require.NoError(t, by.Close())
	assertClosedOnce(t, body)
}

func TestReplaceByAClosedResponseClosesTheOld(t *testing.T) {
	t.Parallel()
	body, other := newBody("x"), newBody("y")
	by := &proxy.Response{Body: other}
	require.NoError(t, by.Close())
	(&proxy.Response{Body: body}).Replace(by)
	assertClosedOnce(t, body, other)
}

func TestReplaceByAResponseWithTheSameBody(t *testing.T) {
	t.Parallel()
	body, conn := newBody("x"), &countedConn{}
	ran := 0
	old := &proxy.Response{Body: body, Upgrade: conn}
	old.OnClose(func() { ran++ })
	by := old.Replace(&proxy.Response{Status: 201, Body: body, Upgrade: conn})
	assert.Zero(t, ran)
	require.NoError(t, old.Close(), "has nothing left to close")
	assert.Zero(t, body.closed.Load())
	require.NoError(t, by.Close())
	assertClosedOnce(t, body, &conn.countedBody)
	assert.Equal(t, 1, ran)
}

func TestReplaceOfAndByNil(t *testing.T) {
	t.Parallel()
	var none *proxy.Response
	by := &proxy.Response{}
	assert.Same(t, by, none.Replace(by))
	assert.Nil(t, none.Replace(nil))
	assert.Same(t, by, by.Replace(by))

	body := newBody("x")
	assert.Nil(t, (&proxy.Response{Body: body}).Replace(nil))
	assertClosedOnce(t, body)

	same := newBody("x")
	res := &proxy.Response{Body: same}
	res.Replace(res)
	assert.Zero(t, same.closed.Load())
	require.NoError(t, res.Close())
	assertClosedOnce(t, same)
}

// A body may be of any type, even of one that panics when compared.
type sliceBody struct {
	io.ReadCloser
	parts []string
}

func TestReplaceAcceptsBodiesThatCannotBeCompared(t *testing.T) {
	t.Parallel()
	old, by := newBody("x"), newBody("y")
	res := (&proxy.Response{Body: sliceBody{ReadCloser: old, parts: []string{"a"}}}).
		Replace(&proxy.Response{Body: sliceBody{ReadCloser: by}})
	require.NoError(t, res.Close())
	assertClosedOnce(t, old, by)
}

// A response is never copied: go vet (copylocks) refuses copies of a struct that holds a lock by
// value.
func TestAResponseHoldsALockSoThatGoVetFindsCopies(t *testing.T) {
	t.Parallel()
	held := slices.ContainsFunc(reflect.VisibleFields(reflect.TypeFor[proxy.Response]()), func(f reflect.StructField) bool {
		return f.Type == reflect.TypeFor[sync.Mutex]()
	})
	assert.True(t, held)
}
