// Asks a database one question with the URI that ADDRESS holds, and prints the driver's version and the answer, joined by a tab.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5"
)

const question = "select ssl || ' ' || 6 * 7 from pg_stat_ssl where pid = pg_backend_pid()"

func main() {
	if err := ask(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func ask() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	connection, err := pgx.Connect(ctx, os.Getenv("ADDRESS"))
	if err != nil {
		return err
	}
	defer connection.Close(ctx)
	var answer string
	if err := connection.QueryRow(ctx, question).Scan(&answer); err != nil {
		return err
	}
	version := "?"
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == "github.com/jackc/pgx/v5" {
				version = module.Version
			}
		}
	}
	fmt.Printf("%s\t%s\n", version, answer)
	return nil
}
