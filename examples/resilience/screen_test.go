package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy/policy"
)

func sample() Stats {
	return Stats{
		Answers:  map[string]int64{"200": 120, "503": 4},
		Tries:    map[string]int64{"a": 40, "b": 30, "c": 30, "articles": 20, "orders": 0},
		Hedges:   Hedges{Sent: 7, Won: 3},
		Breakers: map[string]policy.BreakerState{"items": policy.BreakerClosed, "articles": policy.BreakerOpen},
		Hosts:    map[string]Host{"a": {"ejected", "5 failures in a row", 0}, "b": {"up", "", 2}, "c": {"slow-start", "", 1}},
		Cache:    Cache{Hits: 50, Misses: 20, Stale: 1, Bytes: 2048},
	}
}

func TestALineTellsWhatHasHappenedSinceTheOneBefore(t *testing.T) {
	t.Parallel()
	before, now := sample(), sample()
	now.Answers["200"] += 9
	now.Tries["a"]++
	now.Tries["articles"] += 2
	now.Hedges.Sent++
	now.Cache.Hits += 5
	assert.Equal(t, "answers 200:9 | tries a:1 articles:2 | hedges 1 sent 0 won | hosts a ejected, b up, c slow-start | "+
		"breakers articles open, items closed | cache 5 hits 0 misses 0 stale", line(now, before))
	plain := Stats{Hosts: map[string]Host{"a": {"up", "", 0}}}
	assert.Equal(t, "answers none | tries none | hedges 0 sent 0 won | hosts a up | breakers none | cache 0 hits 0 misses 0 stale", line(plain, plain))
}

func TestTheScreenShowsFigures(t *testing.T) {
	t.Parallel()
	m := tea.Model(model{source: source{services: serve(t), title: "sluice"}})
	start := time.Now()
	m, _ = m.Update(figures{sample(), start})
	later := sample()
	later.Answers["200"] += 30
	later.Tries["a"] += 10
	m, _ = m.Update(figures{later, start.Add(500 * time.Millisecond)})
	text := ansi.Strip(m.View().Content)
	for _, want := range []string{
		"200             150     60/s",
		"503               4      0/s",
		"> 1 a              50     20/s  ejected       0",
		"      5 failures in a row",
		"  2 b              30      0/s  up            2",
		"breaker of articles   open",
		"7 sent, 3 won",
		"50 hits, 20 misses, 1 stale, 2048 bytes",
		"x crash",
	} {
		assert.Contains(t, text, want)
	}
	m, _ = m.Update(tea.WindowSizeMsg{Width: 20, Height: 10})
	for row := range strings.Lines(ansi.Strip(m.View().Content)) {
		assert.LessOrEqual(t, ansi.StringWidth(strings.TrimSuffix(row, "\n")), 20)
	}
}

func TestKeysFlipFaults(t *testing.T) {
	t.Parallel()
	services := serve(t)
	left := false
	m := tea.Model(model{source: source{services: services}, leave: func() { left = true }, ctx: t.Context()})
	press := func(keys ...tea.KeyPressMsg) {
		for _, k := range keys {
			var cmd tea.Cmd
			if m, cmd = m.Update(k); cmd != nil {
				m, _ = m.Update(cmd())
			}
		}
	}
	key := func(c rune) tea.KeyPressMsg { return tea.KeyPressMsg{Code: c, Text: string(c)} }

	press(key('l'), key('e'))
	assert.Equal(t, fault{Latency: 300 * time.Millisecond, Errors: 0.5}, services["a"].Fault())
	press(key('l'), key('h'), key('x'), key('t'))
	assert.Equal(t, fault{Errors: 0.5, Hang: true, Crash: true, Cut: true}, services["a"].Fault())
	assert.Contains(t, ansi.Strip(m.View().Content), "errors 50 %, hang, crash, cut")
	press(key('d'))
	assert.Zero(t, services["a"].Fault())

	press(key('4'), key('h'), tea.KeyPressMsg{Code: tea.KeyDown}, key('x'), tea.KeyPressMsg{Code: tea.KeyDown}, key('t'),
		tea.KeyPressMsg{Code: tea.KeyUp}, key('e'))
	assert.Equal(t, fault{Hang: true}, services["articles"].Fault())
	assert.Equal(t, fault{Crash: true, Errors: 0.5}, services["orders"].Fault())
	assert.Equal(t, fault{Cut: true}, services["a"].Fault())

	assert.False(t, left)
	press(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl})
	assert.True(t, left)
	assert.Contains(t, m.View().Content, "draining")
}

func TestTheScreenShowsWhyAFaultCouldNotBeSet(t *testing.T) {
	t.Parallel()
	m := tea.Model(model{source: source{services: serve(t)}})
	m, _ = m.Update(changed{io.ErrClosedPipe})
	assert.Contains(t, m.View().Content, io.ErrClosedPipe.Error())
}

func TestTheScreenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	services := serve(t)
	keyboard, press := io.Pipe()
	defer press.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	left := make(chan struct{})
	var out bytes.Buffer
	s := &screen{source{services, sample, "sluice"}, func() { close(left) }, keyboard, &out}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	_, err := press.Write([]byte("2h"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return services["b"].Fault().Hang }, 10*time.Second, time.Millisecond)
	_, err = press.Write([]byte{3}) // ctrl+c
	require.NoError(t, err)
	select {
	case <-left:
	case <-time.After(10 * time.Second):
		require.Fail(t, "ctrl+c does not leave")
	}
	select {
	case err := <-ended:
		require.Fail(t, "it does not wait for the program to drain", "%v", err)
	default:
	}
	cancel()
	select {
	case err := <-ended:
		assert.NoError(t, err)
	case <-time.After(10 * time.Second):
		require.Fail(t, "it does not end")
	}
	assert.NotEmpty(t, out.String())
}
