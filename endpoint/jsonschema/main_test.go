package jsonschema_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/endpoint/jsonschema"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counted returns an upstream that answers, and the number of its calls.
func counted() (proxy.Proxy, *atomic.Int32) {
	calls := new(atomic.Int32)
	return pipe.NamedPipe("orders", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		calls.Add(1)
		return &proxy.Response{}, nil
	}), calls
}

// compiled returns the schema of a text.
func compiled(t testing.TB, text string) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.New(jsonschema.Spec{Text: text})
	require.NoError(t, err)
	return schema
}

// sent returns a request with a body.
func sent(body string) *proxy.Request {
	req := proxy.NewRequest("POST", "/orders")
	req.SetBody("application/json", []byte(body))
	return req
}
