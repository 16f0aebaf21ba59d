// A server on the library of Centrifugo, with what Centrifugo does by default for a channel that clients may subscribe
// and publish to: a token check, subscriptions, publications to all subscribers, the sender too; no history, no
// presence. It is there for where Centrifugo itself cannot be installed, and speaks the same JSON protocol.
//
// Environment: PORT (3101), HOST (127.0.0.1), SECRET (empty: everybody is let in), GOMAXPROCS. /readyz says when it
// listens.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/golang-jwt/jwt/v5"
)

// authenticator lets in who has a good HS256 token; without a secret, everybody.
func authenticator(secret string) centrifuge.ConnectingHandler {
	key := func(*jwt.Token) (any, error) { return []byte(secret), nil }
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	return func(_ context.Context, event centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		if secret == "" {
			return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}, nil
		}
		var claims jwt.RegisteredClaims
		if _, err := parser.ParseWithClaims(event.Token, &claims, key); err != nil || claims.Subject == "" {
			return centrifuge.ConnectReply{}, centrifuge.DisconnectInvalidToken
		}
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{
			UserID:   claims.Subject,
			ExpireAt: claims.ExpiresAt.Unix(),
		}}, nil
	}
}

// welcome allows what a member of a chat does.
func welcome(client *centrifuge.Client) {
	client.OnSubscribe(func(_ centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
		answer(centrifuge.SubscribeReply{}, nil)
	})
	client.OnPublish(func(event centrifuge.PublishEvent, answer centrifuge.PublishCallback) {
		if !client.IsSubscribed(event.Channel) {
			answer(centrifuge.PublishReply{}, centrifuge.ErrorPermissionDenied)
			return
		}
		answer(centrifuge.PublishReply{}, nil)
	})
}

func main() {
	node, err := centrifuge.New(centrifuge.Config{
		LogLevel:   centrifuge.LogLevelError,
		LogHandler: func(entry centrifuge.LogEntry) { log.Println(entry.Message, entry.Fields) },
	})
	if err != nil {
		log.Fatal(err)
	}
	node.OnConnecting(authenticator(os.Getenv("SECRET")))
	node.OnConnect(welcome)
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}

	http.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		CheckOrigin:        func(*http.Request) bool { return true },
		UseWriteBufferPool: true,
		PingPongConfig:     centrifuge.PingPongConfig{PingInterval: 25 * time.Second, PongTimeout: 20 * time.Second},
	}))
	http.HandleFunc("/readyz", func(response http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(response, "{}")
	})
	host, port := cmp.Or(os.Getenv("HOST"), "127.0.0.1"), cmp.Or(os.Getenv("PORT"), "3101")
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
