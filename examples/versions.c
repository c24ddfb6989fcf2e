/* SPDX-License-Identifier: MIT */
/* versions.c - a new version of a function, tried on a tenth of its users and then given to
 * all, while calls run. A user stays on one version as long as the shares are the same. */
#include <faas/faas.h>

#include <stdio.h>
#include <stdlib.h>

enum { USERS = 1000 };

static void check(faas_status status, const char *what)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "versions: %s: %s: %s\n", what, faas_status_text(status),
            faas_error_text());
    exit(1);
}

static void expect(bool so, const char *what)
{
    if (so)
        return;
    fprintf(stderr, "versions: %s is not so\n", what);
    exit(1);
}

static int price_old(faas_context *ctx, faas_bytes input)
{
    (void)input;
    return faas_reply_as_is(ctx, faas_str("1"));
}

static int price_new(faas_context *ctx, faas_bytes input)
{
    (void)input;
    return faas_reply_as_is(ctx, faas_str("2"));
}

/* Returns the version that answers a user. */
static char version_for(faas_runtime *rt, faas_fn live, int user)
{
    char name[16], version;
    faas_result *out;

    (void)snprintf(name, sizeof name, "user %d", user);
    check(faas_invoke_with(rt, live, faas_str("apples"), FAAS_CALL(.key = faas_str(name)),
                           &out),
          "invoke");
    version = *(const char *)faas_result_bytes(out).data;
    faas_result_release(out);
    return version;
}

static int users_of_new(faas_runtime *rt, faas_fn live)
{
    int count = 0;

    for (int user = 0; user < USERS; user++)
        count += version_for(rt, live, user) == '2';
    return count;
}

int main(void)
{
    faas_runtime *rt;
    faas_fn price, live;
    char before;
    int count;

    check(faas_runtime_open(&rt, NULL), "runtime");
    check(faas_function_register(rt, FAAS_FUNCTION(.name = "price", .handler = price_old),
                                 &price),
          "price");
    check(faas_function_publish(rt, price, NULL, NULL), "version 1");
    check(faas_function_replace(rt, price, FAAS_FUNCTION(.handler = price_new)), "new");
    check(faas_function_publish(rt, price, NULL, NULL), "version 2");

    check(faas_alias_put(rt, price, "live", (faas_share[]){{1, 90}, {2, 10}}, 2, &live),
          "nine to one");
    count = users_of_new(rt, live);
    printf("%d of %d users are on version 2\n", count, USERS);
    expect(count > 50 && count < 150, "about a tenth");
    before = version_for(rt, live, 17);
    expect(version_for(rt, live, 17) == before, "user 17 stays on its version");

    /* The same handle; calls that run go on where they are. */
    check(faas_alias_put(rt, price, "live", (faas_share[]){{2, 1}}, 1, &live), "all");
    count = users_of_new(rt, live);
    printf("%d of %d users are on version 2\n", count, USERS);
    expect(count == USERS, "everybody");

    check(faas_function_find(rt, faas_str("price:1"), &price), "version 1 by its name");
    check(faas_function_unregister(rt, price), "unregister");
    check(faas_runtime_close(rt), "close");
    return 0;
}
