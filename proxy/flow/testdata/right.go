// The program that the others differ from in one place.
package main

import (
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
)

type (
	User  struct{ Account string }
	Order struct{ Product string }
)

var users, orders proxy.Proxy

func forUser(*proxy.Request, User) error { return nil }

func main() {
	user := flow.Call("user", proxy.Decode[User](users))
	ords := flow.Then("orders", user, func(r *proxy.Request, u User) error { return nil }, proxy.Decode[[]Order](orders))
	page := flow.Join2(user, flow.Optional(ords), func(u User, o flow.Maybe[[]Order]) (string, error) { return u.Account, nil })
	_ = proxy.Encode(page)
}
