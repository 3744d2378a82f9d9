// Package basic verifies user names and passwords (RFC 7617) by their bcrypt hashes:
//
//	passwords, err := basic.New(basic.Spec{Realm: "reports", Users: []basic.User{
//		{Name: "ada", Hash: "$2a$12$…", Roles: []string{"reader"}},
//	}})
//	endpoint.Spec{Guards: []proxy.Decorator{auth.Require(passwords)}, Proxy: reports}
//
// [ParseHtpasswd] reads the users of a file that htpasswd -B has written. A client sends its password with
// every request, so use Basic only over TLS.
//
// The package is a module of its own, because it needs golang.org/x/crypto.
package basic
