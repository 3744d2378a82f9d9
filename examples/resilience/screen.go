package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
)

// A screen is the live view on a terminal. Keys choose an upstream and flip its faults.
type screen struct {
	source
	leave func()
	in    io.Reader
	out   io.Writer
}

// refresh is how often the screen shows new figures.
const refresh = 250 * time.Millisecond

// Run shows the screen until ctx is done. A user who leaves ends the program: the screen stays while it
// drains.
func (s *screen) Run(ctx context.Context) error {
	program := tea.NewProgram(model{source: s.source, leave: s.leave, ctx: ctx},
		tea.WithInput(s.in), tea.WithOutput(s.out), tea.WithoutSignalHandler())
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(refresh)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				program.Quit()
				return
			case <-tick.C:
				program.Send(figures{s.stats(), time.Now()})
			}
		}
	}()
	_, err := program.Run()
	cancel()
	<-ended
	if errors.Is(err, tea.ErrInterrupted) || errors.Is(err, tea.ErrProgramKilled) {
		return nil
	}
	return err
}

// figures are the stats of a moment.
type figures struct {
	Stats
	at time.Time
}

// A model is what the screen shows.
type model struct {
	source
	leave func()
	ctx   context.Context // of the changes that keys make

	selected int       // among names
	history  []figures // of the last second, the newest last
	width    int
	leaving  bool
	err      error // of the last change
}

// Init does nothing: figures come by themselves.
func (m model) Init() tea.Cmd { return nil }

// Update takes a key, new figures, or the size of the terminal.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width = msg.Width
	case figures:
		m.history = append(slices.Clone(m.history[max(0, len(m.history)-int(time.Second/refresh)):]), msg)
	case changed:
		m.err = msg.err
	case tea.KeyPressMsg:
		return m.press(msg.String())
	}
	return m, nil
}

// keys are the keys that flip a fault of the selected upstream.
var keys = []struct {
	key, does string
	flip      func(*fault)
}{
	{"l", "latency 300ms", func(f *fault) { f.Latency = flipped(f.Latency, 300*time.Millisecond) }},
	{"e", "errors 50 %", func(f *fault) { f.Errors = flipped(f.Errors, 0.5) }},
	{"h", "hang", func(f *fault) { f.Hang = !f.Hang }},
	{"x", "crash", func(f *fault) { f.Crash = !f.Crash }},
	{"t", "cut", func(f *fault) { f.Cut = !f.Cut }},
	{"d", "heal", func(f *fault) { *f = fault{} }},
}

func flipped[T comparable](now, to T) (zero T) {
	if now != zero {
		return zero
	}
	return to
}

// changed says that an upstream has other faults, or why not.
type changed struct{ err error }

func (m model) press(key string) (tea.Model, tea.Cmd) {
	switch key {
	case "ctrl+c", "q":
		m.leaving = true
		m.leave()
	case "up":
		m.selected = (m.selected + len(names) - 1) % len(names)
	case "down", "tab":
		m.selected = (m.selected + 1) % len(names)
	case "1", "2", "3", "4", "5":
		m.selected = int(key[0] - '1')
	}
	for _, k := range keys {
		if k.key == key {
			s := m.services[names[m.selected]]
			f := s.Fault()
			k.flip(&f)
			return m, func() tea.Msg { return changed{s.Set(m.ctx, f)} }
		}
	}
	return m, nil
}

// View draws the screen.
func (m model) View() tea.View {
	v := tea.NewView(m.text())
	v.AltScreen = true
	v.WindowTitle = "sluice resilience"
	return v
}
