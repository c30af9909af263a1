//! The suite of the user directory port.

use std::sync::Arc;

use futures_util::future::join_all;
use parlor_schema::{
    LoginId,
    port::{
        UserDirectory,
        directory::{CreateUser, RotateLogin},
    },
    record::{DeviceRecord, LoginRecord, ProfileChange, UserRecord},
};

use crate::{
    Verdict,
    make::{at, fresh, name},
    promise, same, told,
};

/// Runs every check; the store must be empty, for accounts are listed whole.
pub(crate) async fn suite(store: Arc<dyn UserDirectory>) -> Verdict {
    let named = |name: &'static str| move |why: String| format!("{name}: {why}");
    accounts(&*store).await.map_err(named("accounts"))?;
    outsiders(&*store).await.map_err(named("outsiders"))?;
    pages(&*store).await.map_err(named("pages"))?;
    logins(&*store).await.map_err(named("logins"))?;
    rotation(&*store).await.map_err(named("rotation"))?;
    race(store.clone()).await.map_err(named("one rotation"))?;
    devices(&*store).await.map_err(named("devices"))
}

fn account(user: &str) -> UserRecord {
    UserRecord {
        user_id: name(user),
        name: Some("A Name".into()),
        avatar: None,
        password_hash: Some("$argon2id$…".into()),
        created_at: at(10),
        disabled_at: None,
        last_seen: None,
    }
}

async fn accounts(store: &dyn UserDirectory) -> Verdict {
    let ana = account("ana");
    let id = &ana.user_id;
    same!(told(store.user(id).await)?, None, "not there");
    promise!(
        !told(store.set_password(id, "x".into()).await)?,
        "password of nobody"
    );
    promise!(
        !told(store.set_disabled(id, None).await)?,
        "nobody disabled"
    );
    same!(told(store.user(id).await)?, None, "made by a change");
    same!(
        told(store.create_user(ana.clone()).await)?,
        CreateUser::Created,
        "first"
    );
    let other = UserRecord {
        name: None,
        ..ana.clone()
    };
    same!(
        told(store.create_user(other).await)?,
        CreateUser::Taken,
        "second"
    );
    same!(told(store.user(id).await)?, Some(ana.clone()), "as made");

    let change = ProfileChange {
        name: Some(None),
        avatar: Some(Some("pic".into())),
    };
    let mut wanted = UserRecord {
        name: None,
        avatar: Some("pic".into()),
        ..ana.clone()
    };
    let changed = told(store.update_profile(id, change, at(50)).await)?;
    same!(changed, wanted, "answer of a change");
    let unchanged = store.update_profile(id, ProfileChange::default(), at(51));
    same!(told(unchanged.await)?, wanted, "no change");
    promise!(
        told(store.set_password(id, "new".into()).await)?,
        "password"
    );
    promise!(told(store.set_disabled(id, Some(at(60))).await)?, "disable");
    told(store.set_last_seen(id, at(80)).await)?;
    told(store.set_last_seen(id, at(70)).await)?;
    wanted.password_hash = Some("new".into());
    wanted.disabled_at = Some(at(60));
    wanted.last_seen = Some(at(80));
    same!(
        told(store.user(id).await)?,
        Some(wanted.clone()),
        "after changes"
    );
    promise!(told(store.set_disabled(id, None).await)?, "enable");
    wanted.disabled_at = None;
    same!(told(store.user(id).await)?, Some(wanted), "after opening");
    Ok(())
}

async fn outsiders(store: &dyn UserDirectory) -> Verdict {
    let bare = |user: &str, made| UserRecord {
        name: None,
        password_hash: None,
        created_at: at(made),
        ..account(user)
    };
    let change = ProfileChange {
        name: Some(Some("Out".into())),
        avatar: None,
    };
    let made = told(store.update_profile(&name("out"), change, at(5)).await)?;
    let wanted = UserRecord {
        name: Some("Out".into()),
        ..bare("out", 5)
    };
    same!(made, wanted, "made by a change");
    told(store.set_last_seen(&name("seen"), at(6)).await)?;
    let wanted = UserRecord {
        last_seen: Some(at(6)),
        ..bare("seen", 6)
    };
    same!(
        told(store.user(&name("seen")).await)?,
        Some(wanted),
        "made by being seen"
    );
    let asked = ["zed", "seen", "abe", "out"].map(name).to_vec();
    let missing = told(store.missing_users(asked).await)?;
    same!(
        missing,
        [name("zed"), name("abe")],
        "missing, in the order given"
    );
    Ok(())
}

async fn pages(store: &dyn UserDirectory) -> Verdict {
    for user in ["b", "a", "B", "a.b", "a-b"] {
        told(store.create_user(account(user)).await)?;
    }
    let all = told(store.users(None, 1000).await)?;
    promise!(
        all.is_sorted_by(|a, b| a.user_id < b.user_id),
        "not in id order"
    );
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = told(store.users(after, 2).await)?;
        promise!(page.len() <= 2, "a page is too long");
        after = page.last().map(|record| record.user_id.clone());
        if after.is_none() {
            break;
        }
        listed.extend(page);
    }
    same!(listed, all, "pages");
    Ok(())
}

fn login(user: &str, hash: u8) -> LoginRecord {
    LoginRecord {
        login_id: LoginId::from(fresh()),
        user_id: name(user),
        refresh_hash: [hash; 32],
        created_at: at(1),
        expires_at: at(100),
    }
}

async fn logins(store: &dyn UserDirectory) -> Verdict {
    let (one, two, other) = (login("ann", 1), login("ann", 2), login("anna", 3));
    for record in [&one, &two, &other, &one] {
        told(store.put_login(record.clone()).await)?;
    }
    same!(
        told(store.login(one.login_id).await)?,
        Some(one.clone()),
        "a login"
    );
    let mut listed = told(store.logins_of(&name("ann")).await)?;
    listed.sort_by_key(|record| record.refresh_hash);
    same!(listed, [one.clone(), two.clone()], "logins of a user");
    same!(
        told(store.remove_login(one.login_id).await)?,
        Some(name("ann")),
        "whose"
    );
    same!(told(store.remove_login(one.login_id).await)?, None, "again");
    same!(
        told(store.login(one.login_id).await)?,
        None,
        "a login that ended"
    );
    same!(
        told(store.logins_of(&name("ann")).await)?,
        [two],
        "what is left"
    );
    same!(
        told(store.logins_of(&name("anna")).await)?,
        [other],
        "another user's"
    );
    Ok(())
}

async fn rotation(store: &dyn UserDirectory) -> Verdict {
    let record = login("rot", 1);
    let id = record.login_id;
    told(store.put_login(record.clone()).await)?;
    let turn = |spent: u8, fresh: u8, now| {
        store.rotate_login(id, [spent; 32], [fresh; 32], at(now), at(500))
    };
    let turned = LoginRecord {
        refresh_hash: [2; 32],
        expires_at: at(500),
        ..record.clone()
    };
    let first = told(turn(1, 2, 99).await)?;
    same!(
        first,
        RotateLogin::Rotated(turned.clone()),
        "the good token"
    );
    same!(told(store.login(id).await)?, Some(turned.clone()), "kept");
    let expired = told(turn(2, 3, 500).await)?;
    same!(expired, RotateLogin::Gone, "at the moment of expiry");
    let reused = told(turn(1, 4, 100).await)?;
    same!(reused, RotateLogin::Reused(turned), "a spent token");
    same!(
        told(turn(2, 5, 100).await)?,
        RotateLogin::Gone,
        "a login ended by reuse"
    );
    same!(told(store.login(id).await)?, None, "a login ended by reuse");
    same!(
        told(store.logins_of(&name("rot")).await)?,
        [],
        "its place in the list"
    );
    Ok(())
}

async fn race(store: Arc<dyn UserDirectory>) -> Verdict {
    let record = login("race", 1);
    let id = record.login_id;
    told(store.put_login(record).await)?;
    let turns = (0..8).map(|turn: u8| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let fresh = [10 + turn; 32];
            store.rotate_login(id, [1; 32], fresh, at(2), at(500)).await
        })
    });
    let mut rotated = 0;
    for turn in join_all(turns).await {
        if matches!(told(told(turn)?)?, RotateLogin::Rotated(_)) {
            rotated += 1;
        }
    }
    same!(rotated, 1, "rotations with one token");
    Ok(())
}

async fn devices(store: &dyn UserDirectory) -> Verdict {
    let device = |user: &str, id: &str, seen| DeviceRecord {
        user_id: name(user),
        device_id: id.parse().unwrap(),
        name: None,
        platform: Some("web".into()),
        last_seen: at(seen),
    };
    let (ana, bo) = (device("ana", "phone", 1), device("bo", "phone", 2));
    same!(
        told(store.device(&ana.user_id, &ana.device_id).await)?,
        None,
        "none yet"
    );
    told(store.put_device(ana.clone()).await)?;
    told(store.put_device(bo.clone()).await)?;
    let again = device("ana", "phone", 9);
    told(store.put_device(again.clone()).await)?;
    same!(
        told(store.device(&ana.user_id, &ana.device_id).await)?,
        Some(again),
        "written again"
    );
    same!(
        told(store.device(&bo.user_id, &bo.device_id).await)?,
        Some(bo),
        "another user's"
    );
    Ok(())
}
