package basic_test

import (
	"context"
	"fmt"

	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/basic"
	"github.com/sluice-go/sluice/proxy"
)

func ExampleNew() {
	hash, _ := bcrypt.GenerateFromPassword([]byte("open sesame"), bcrypt.MinCost) // a configuration has it
	passwords, err := basic.New(basic.Spec{Realm: "reports", Users: []basic.User{{Name: "ada", Hash: string(hash)}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	reports := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		fmt.Println("for", req.Caller.ID)
		return &proxy.Response{}, nil
	}).With(auth.Require(passwords))

	req := proxy.NewRequest("GET", "/reports")
	req.Header.Set("Authorization", "Basic YWRhOm9wZW4gc2VzYW1l")
	_, err = reports(context.Background(), req)
	fmt.Println(proxy.StatusOf(err))

	req.Header.Set("Authorization", "Basic YWRhOmEgZ3Vlc3M=")
	_, err = reports(context.Background(), req)
	fmt.Println(proxy.StatusOf(err), err)
	// Output:
	// for ada
	// 200
	// 401 auth: basic: the credentials are not valid: the user is unknown or the password is wrong
}
