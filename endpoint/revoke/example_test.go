package revoke_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/revoke"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleNew() {
	revoked, err := revoke.New(revoke.Spec{Lifetime: time.Hour}) // its method Revoked is that of jwt.Spec
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, ada := context.Background(), &proxy.Caller{ID: "ada", Claims: document.MustParse(`{"jti":"t-1"}`)}
	fmt.Println(revoked.Revoked(ctx, ada))
	if err := revoked.Revoke("t-1"); err != nil {
		fmt.Println(err)
	}
	fmt.Println(errors.Is(revoked.Revoked(ctx, ada), auth.ErrRevoked))

	other, err := revoke.New(revoke.Spec{Lifetime: time.Hour}) // of a process that has just begun
	if err != nil {
		fmt.Println(err)
		return
	}
	known, _ := revoked.MarshalBinary()
	fmt.Println(other.Merge(known))
	fmt.Println(errors.Is(other.Revoked(ctx, ada), auth.ErrRevoked))
	// Output:
	// <nil>
	// true
	// <nil>
	// true
}
