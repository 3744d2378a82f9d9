package h1_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/backend/h1"
)

// A crossing is how one call of the race goes. The client puts it into the path of its request.
type crossing struct {
	id   string // 8 bytes, of which the bodies in both directions consist
	mode string // what the upstream does
	size int    // of the answer's body, in ids
	wait int    // ms before the answer
}

func (c crossing) path() string { return fmt.Sprintf("/%s/%s/%d/%d", c.id, c.mode, c.size, c.wait) }

func parseCrossing(path string) (c crossing) {
	f := strings.Split(path, "/")
	c.id, c.mode = f[1], f[2]
	c.size, _ = strconv.Atoi(f[3])
	c.wait, _ = strconv.Atoi(f[4])
	return c
}

// crossingModes are what an upstream does, and whether a call can count on its answer. A mode occurs
// as often as it stands here.
var crossingModes = []struct {
	name string
	good bool
}{
	{"length", true}, {"length", true}, {"length", true}, {"chunks", true}, {"chunks", true}, {"trailer", true}, {"empty", true},
	{"close", true},      // says Connection: close, and does
	{"leave", true},      // closes after an answer that promised more
	{"halve", true},      // as leave, but reads on
	{"abort", true},      // as leave, with a reset after the answer was read
	{"end", true},        // a body that ends with the connection
	{"surplus", true},    // another answer behind it, in the same bytes
	{"longer", true},     // a body longer than its length
	{"hint", true},       // a 103 before
	{"missing", true},    // 404
	{"unread", true},     // the client closes the body before its end
	{"dribble", true},    // in many pieces
	{"reset", false},     // before the answer
	{"resetbody", false}, // inside the body
	{"cut", false},       // half a body and a clean end
	{"garbage", false},   // no HTTP
	{"badchunk", false},  // a body that breaks off in nonsense
}

// cross is the upstream's side: it answers in the mode that the request asks for.
func cross(faults *atomic.Value) script {
	return func(k *talk) bool {
		c := parseCrossing(k.req.URL.Path)
		var body bytes.Buffer
		if _, err := io.Copy(&body, k.req.Body); err != nil {
			return false // the client gave up
		}
		if !consistsOf(body.String(), c.id) || k.req.Header.Get("X-Id") != c.id {
			faults.Store(fmt.Sprintf("%s was sent with %.40q", c.id, body.String()))
		}
		if c.wait > 0 {
			<-time.After(time.Duration(c.wait) * time.Millisecond)
		}
		text := strings.Repeat(c.id, c.size)
		head := okLine + "X-Id: " + c.id + "\r\nETag: \"" + c.id + c.id + "\"\r\n"
		sized := fmt.Sprintf("%sContent-Length: %d\r\n\r\n", head, len(text))
		if k.req.Method == http.MethodHead {
			return k.say(sized)
		}
		tcp := k.Conn.(*net.TCPConn)
		switch c.mode {
		case "chunks", "trailer":
			out := bufio.NewWriter(k)
			fmt.Fprintf(out, "%s%s", head, chunked)
			for rest := text; len(rest) > 0; {
				n := min(len(rest), 1+rand.IntN(3000))
				fmt.Fprintf(out, "%x\r\n%s\r\n", n, rest[:n])
				rest = rest[n:]
				if rand.IntN(8) == 0 {
					_ = out.Flush()
				}
			}
			_, _ = out.WriteString("0\r\n")
			if c.mode == "trailer" {
				fmt.Fprintf(out, "X-Id: %s\r\n", c.id)
			}
			_, _ = out.WriteString("\r\n")
			return out.Flush() == nil
		case "empty":
			return k.say("HTTP/1.1 204 No Content\r\nX-Id: " + c.id + "\r\n\r\n")
		case "close":
			k.say(strings.Replace(sized, "X-Id", "Connection: close\r\nX-Id", 1) + text)
			return false
		case "leave":
			k.say(sized + text)
			return false
		case "halve":
			k.say(sized + text)
			k.finish()
			return false
		case "abort":
			k.say(sized + text)
			_, _ = k.in.Peek(1) // the next request, or the end
			_ = tcp.SetLinger(0)
			return false
		case "end":
			k.say(head + "\r\n" + text)
			return false
		case "surplus":
			return k.say(sized + text + forged)
		case "longer":
			return k.say(sized + text + "SURPLUS!")
		case "hint":
			return k.say("HTTP/1.1 103 Early Hints\r\nX-Id: " + c.id + "\r\n\r\n" + sized + text)
		case "missing":
			return k.say(strings.Replace(sized, "200 OK", "404 Not Found", 1) + text)
		case "dribble":
			whole := sized + text
			for len(whole) > 0 {
				n := min(len(whole), 1+rand.IntN(len(text)/3+50))
				if !k.say(whole[:n]) {
					return false
				}
				whole = whole[n:]
			}
			return true
		case "reset":
			_ = tcp.SetLinger(0)
			return false
		case "resetbody":
			k.say(sized + text[:len(text)/2])
			_ = tcp.SetLinger(0)
			return false
		case "cut":
			k.say(sized + text[:len(text)/2])
			return false
		case "garbage":
			return k.say("SSH-2.0-OpenSSH_9.9\r\n\r\n")
		case "badchunk":
			return k.say(head + chunked + "8\r\n" + c.id + "\r\n8\r\n" + c.id + "9\r\nSURPLUS!\r\n")
		}
		return k.say(sized + text)
	}
}

// consistsOf reports whether text is a repetition of id, of which the last may be cut.
func consistsOf(text, id string) bool {
	for len(text) >= len(id) {
		if text[:len(id)] != id {
			return false
		}
		text = text[len(id):]
	}
	return strings.HasPrefix(id, text)
}

// A crosser is one of the clients of the race.
type crosser struct {
	t      *testing.T
	tr     http.RoundTripper
	number int
	counts map[string]int
}

// call makes one call, and checks every byte that it gets.
func (x *crosser) call(n int) {
	mode := crossingModes[rand.IntN(len(crossingModes))]
	c := crossing{id: fmt.Sprintf("%02x%06x", x.number, n), mode: mode.name, size: 2 + rand.IntN(200)}
	if rand.IntN(200) == 0 {
		c.size = 20_000 // 160 KB
	}
	if mode.name == "surplus" || mode.name == "longer" {
		c.size = min(c.size, 200) // so that all of it arrives at once
	}
	if rand.IntN(20) == 0 {
		c.wait = 1 + rand.IntN(12)
	}
	ctx, cancel := context.WithCancel(x.t.Context())
	defer cancel()
	cancels := rand.IntN(6) == 0
	if cancels {
		after := time.AfterFunc(time.Duration(rand.IntN(8000))*time.Microsecond, cancel)
		defer after.Stop()
	}
	method, sends, replayable := http.MethodGet, 0, true
	switch rand.IntN(8) {
	case 0:
		method = http.MethodHead
	case 1, 2:
		method, replayable = http.MethodPost, false
		sends = 1 + rand.IntN(2000)
	case 3:
		method = http.MethodPut
		sends = 1 + rand.IntN(20)
	}
	var body io.Reader
	if sends > 0 {
		body = strings.NewReader(strings.Repeat(c.id, sends))
		if !replayable {
			body = plainBody{body} // of unknown length
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://upstream.test"+c.path(), body)
	if !assert.NoError(x.t, err) {
		return
	}
	req.Header.Set("X-Id", c.id)
	if replayable {
		req.Header.Set("Idempotency-Key", c.id)
	}
	if method == http.MethodHead {
		mode.good = true // the upstream answers every HEAD
	}
	outcome, err := x.read(req, c)
	x.counts[outcome]++
	if mode.good && replayable && !cancels {
		assert.NoError(x.t, err, "%s %+v", method, c)
	}
}

// read sends a request and checks what it gets. It fails the test if that is another call's.
func (x *crosser) read(req *http.Request, c crossing) (outcome string, err error) {
	res, err := x.tr.RoundTrip(req)
	if err != nil {
		return "no answer", err
	}
	defer res.Body.Close()
	assert.Equal(x.t, []string{c.id}, res.Header["X-Id"], "%+v", c)
	if tag := res.Header.Get("ETag"); tag != "" {
		assert.Equal(x.t, `"`+c.id+c.id+`"`, tag)
	}
	if c.mode == "unread" && req.Method == http.MethodGet {
		b := make([]byte, 8)
		n, _ := res.Body.Read(b)
		assert.True(x.t, consistsOf(string(b[:n]), c.id), "%+v: %q", c, b[:n])
		return "unread", nil
	}
	b, err := io.ReadAll(res.Body)
	assert.True(x.t, consistsOf(string(b), c.id), "%+v: a body of another: %.80q", c, b)
	if err != nil {
		return "cut", err
	}
	switch {
	case req.Method == http.MethodHead, c.mode == "empty":
		assert.Empty(x.t, b)
	default:
		assert.Len(x.t, b, 8*c.size, "%+v", c)
	}
	if c.mode == "trailer" && req.Method != http.MethodHead {
		assert.Equal(x.t, []string{c.id}, res.Trailer["X-Id"])
	}
	return "whole", nil
}

// No call gets a byte of another's, whatever is cancelled, reset, cut, or sent too much. Under the
// race detector and with -short there are fewer calls.
//
// proves F3, F4
func TestNoCallGetsAnothersBytes(t *testing.T) {
	calls := 100_000
	if raceEnabled {
		calls = 20_000
	}
	if testing.Short() {
		calls = 5_000
	}
	var faults atomic.Value
	var dials []dialer
	for range 3 {
		dials = append(dials, onLoopback(t, cross(&faults)).dial)
	}
	tr := newOurs(t, nil)
	tr.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dials[rand.IntN(len(dials))](ctx, network, address)
	}
	tr.MaxConns, tr.MaxIdle = 24, 16
	counts := race(t, tr, calls)
	t.Log(calls, "calls:", counts)
	assert.Nil(t, faults.Load(), "a request of another")
	assert.Greater(t, counts["whole"], calls/2)
	assert.NotZero(t, counts["no answer"])
	assert.NotZero(t, counts["cut"])
}

// race makes calls from 32 clients at once, and returns how they ended.
func race(t *testing.T, tr *h1.Transport, calls int) map[string]int {
	const clients = 32
	counts := map[string]int{}
	var mu sync.Mutex // guards counts
	var all sync.WaitGroup
	for number := range clients {
		all.Go(func() {
			x := &crosser{t: t, tr: tr, number: number, counts: map[string]int{}}
			for n := 0; n < calls/clients && !t.Failed(); n++ {
				x.call(n)
			}
			mu.Lock()
			defer mu.Unlock()
			for outcome, n := range x.counts {
				counts[outcome] += n
			}
		})
	}
	all.Wait()
	return counts
}
