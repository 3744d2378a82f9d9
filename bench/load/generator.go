package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A load is what a generator sends.
type load struct {
	Addr        string
	Target      string
	Connections int
	Time        time.Duration
	Count       int     // requests on each connection, in place of Time
	Rate        float64 // requests per second on all connections together, by a schedule; 0 is one after another
	Length      int64   // of each answer
	Upload      int64   // bytes of the body of each request
}

// A tally is what a generator counted. With a rate, latencies count from the time at which the
// schedule has the request, so that a server that is late delays no measurement (this is known as
// coordinated omission).
type tally struct {
	Requests int
	Elapsed  time.Duration
	P50, P99 time.Duration
}

// run sends the load on connections that are kept. It fails at the first answer that has another
// status than 200 or another length.
func (l load) run(ctx context.Context) (t tally, err error) {
	clients := make([]*client, l.Connections)
	for i := range clients {
		if clients[i], err = dial(ctx, l); err != nil {
			return t, err
		}
		defer clients[i].conn.Close()
	}
	return l.sendOn(ctx, clients)
}

func (l load) sendOn(ctx context.Context, clients []*client) (t tally, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	latencies := make([][]time.Duration, len(clients))
	var next atomic.Int64 // of the schedule
	var group sync.WaitGroup
	begun := time.Now()
	for i, c := range clients {
		group.Go(func() {
			defer context.AfterFunc(ctx, func() { _ = c.conn.Close() })()
			due := l.closed(begun)
			if l.Rate > 0 {
				due = l.scheduled(ctx, begun, &next)
			}
			for {
				from, more := due()
				if !more {
					return
				}
				if err := c.do(); err != nil {
					cancel(err)
					return
				}
				latencies[i] = append(latencies[i], time.Since(from))
			}
		})
	}
	group.Wait()
	t.Elapsed = time.Since(begun)
	if err := context.Cause(ctx); err != nil {
		return t, err
	}
	all := slices.Concat(latencies...)
	slices.Sort(all)
	t.Requests, t.P50, t.P99 = len(all), at(all, 0.5), at(all, 0.99)
	return t, nil
}

// closed returns a function that says when the next request of a connection is due: now, until the
// load is over.
func (l load) closed(begun time.Time) func() (time.Time, bool) {
	n := 0
	return func() (time.Time, bool) {
		now := time.Now()
		n++
		if l.Count > 0 {
			return now, n <= l.Count
		}
		return now, now.Sub(begun) < l.Time
	}
}

// scheduled returns a function that waits for the next request of a schedule which all connections
// share, and returns when it was due.
func (l load) scheduled(ctx context.Context, begun time.Time, next *atomic.Int64) func() (time.Time, bool) {
	timer := time.NewTimer(0)
	return func() (time.Time, bool) {
		after := time.Duration(float64(next.Add(1)-1) / l.Rate * float64(time.Second))
		due := begun.Add(after)
		if after >= l.Time {
			timer.Stop()
			return due, false
		}
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
			return due, true
		case <-ctx.Done():
			return due, false
		}
	}
}

// at returns a quantile of sorted values, or 0 if there are none.
func at(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// requestHeader is what a browser sends.
var requestHeader = []struct{ name, value string }{
	{"Accept", "application/json"},
	{"Accept-Encoding", "gzip, deflate, br, zstd"},
	{"Accept-Language", "en-GB,en;q=0.8"},
	{"Cache-Control", "no-cache"},
	{"Cookie", "session=4711"},
	{"Referer", "https://shop.test/basket"},
	{"Sec-Fetch-Dest", "empty"},
	{"Sec-Fetch-Mode", "cors"},
	{"Sec-Fetch-Site", "same-origin"},
	{"User-Agent", "load"},
	{"X-Request-Id", "6f1c2c5e0d4b4a7a"},
}

// A client sends one request after another on a connection.
type client struct {
	conn    net.Conn
	r       *bufio.Reader
	request []byte
	upload  int64
	length  int64
}

func dial(ctx context.Context, l load) (*client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr)
	if err != nil {
		return nil, err
	}
	return newClient(conn, l), nil
}

func newClient(conn net.Conn, l load) *client {
	var head bytes.Buffer
	method := http.MethodGet
	if l.Upload > 0 {
		method = http.MethodPost
	}
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, l.Target, l.Addr)
	for _, h := range requestHeader {
		fmt.Fprintf(&head, "%s: %s\r\n", h.name, h.value)
	}
	if l.Upload > 0 {
		fmt.Fprintf(&head, "Content-Type: application/octet-stream\r\nContent-Length: %d\r\n", l.Upload)
	}
	head.WriteString("\r\n")
	return &client{conn: conn, r: bufio.NewReaderSize(conn, 64<<10), request: head.Bytes(), upload: l.Upload, length: l.Length}
}

// block is what an upload consists of.
var block = make([]byte, 64<<10)

// do sends a request and reads its answer.
func (c *client) do() error {
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	for left := c.upload; left > 0; left -= int64(len(block)) {
		if _, err := c.conn.Write(block[:min(left, int64(len(block)))]); err != nil {
			return err
		}
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("the answer begins with %q", line)
	}
	length, err := c.header()
	if err != nil {
		return err
	}
	if length != c.length {
		return fmt.Errorf("an answer of %d bytes, want %d", length, c.length)
	}
	for left := length; left > 0; {
		n, err := c.r.Discard(int(min(left, 1<<20)))
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

var errNoLength = errors.New("the answer has no Content-Length")

// header reads to the end of the header and returns the length of the body.
func (c *client) header() (length int64, err error) {
	length = -1
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		return 0, errNoLength
	}
	return length, nil
}
