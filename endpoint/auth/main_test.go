package auth_test

import (
	"context"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func answers(context.Context, *proxy.Request) (*proxy.Response, error) {
	return &proxy.Response{Status: http.StatusOK}, nil
}
