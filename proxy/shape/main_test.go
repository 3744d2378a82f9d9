package shape_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/internal/lend"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func TestMain(m *testing.M) {
	lend.Poison = true // what is read too late is no JSON
	goleak.VerifyTestMain(m)
}

// A body counts how often it is closed.
type body struct {
	io.Reader
	closes atomic.Int32
}

func newBody(text string) *body { return &body{Reader: strings.NewReader(text)} }

func (b *body) Close() error {
	b.closes.Add(1)
	return nil
}

func parsed(t testing.TB, text string) document.Document {
	t.Helper()
	if text == "" {
		return document.Document{}
	}
	d, err := document.Parse([]byte(text))
	require.NoError(t, err)
	return d
}

// answers returns a proxy that answers with a document.
func answers(t testing.TB, text string) proxy.Proxy {
	d := parsed(t, text)
	return func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: 200, Document: d}, nil
	}
}

// decoded returns what encoding/json makes of a text, with numbers as they are.
func decoded(t testing.TB, text string) any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	require.NoError(t, dec.Decode(&v))
	return v
}

var errOp = errors.New("op failed")

func failing(context.Context, document.Document) (document.Document, error) {
	return document.Document{}, errOp
}
