//! Where a case runs: tables of its own in one of the databases.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use read_model::{ReadModel, ReadModelConfig, SqlServerConfig};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt as _};

use crate::common::{dump, file_in};

/// The ADO string of an empty database. What the cases make there they remove.
pub const URL: &str = "TEST_SQLSERVER_URL";

const TABLES: [&str; 6] = [
    "checkpoints",
    "images",
    "import_items",
    "imports",
    "removals",
    "statistics",
];

/// A connection of the test's own.
pub type Raw = tiberius::Client<Compat<TcpStream>>;

#[derive(Clone)]
pub struct Bed {
    config: ReadModelConfig,
    _folder: Option<Arc<TempDir>>,
    url: Option<Arc<str>>,
}

impl Bed {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            config: ReadModelConfig::sqlite(file_in(&folder)),
            _folder: Some(Arc::new(folder)),
            url: None,
        }
    }

    pub fn sql_server(url: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let schema = format!(
            "t{:x}_{}_{}",
            now.as_secs(),
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let mut config = SqlServerConfig::from_ado(URL, url).unwrap();
        config.schema = schema.parse().unwrap();
        (config.pool_size, config.pool_overflow) = (4, 8);
        Self {
            config: ReadModelConfig::SqlServer(Box::new(config)),
            _folder: None,
            url: Some(url.into()),
        }
    }

    pub fn config(&self) -> &ReadModelConfig {
        &self.config
    }

    /// How to reach SQL Server; only for cases that run on nothing else.
    pub fn server(&self) -> SqlServerConfig {
        match &self.config {
            ReadModelConfig::SqlServer(config) => (**config).clone(),
            ReadModelConfig::Sqlite(_) => panic!("this case is SQL Server's"),
        }
    }

    pub async fn model(&self) -> ReadModel {
        ReadModel::open(&self.config).await.unwrap()
    }

    pub fn reader(&self) -> ReadModel {
        ReadModel::open_read_only(&self.config)
    }

    /// Random inputs that a property is checked on.
    pub fn cases(&self) -> u32 {
        if self.url.is_some() { 16 } else { 64 }
    }

    pub async fn raw(&self) -> Raw {
        connect(self.url.as_deref().unwrap()).await
    }

    /// `table` with its schema.
    pub fn table(&self, table: &str) -> String {
        match &self.config {
            ReadModelConfig::SqlServer(config) => format!("[{}].[{table}]", config.schema.as_str()),
            ReadModelConfig::Sqlite(_) => table.to_owned(),
        }
    }

    /// Run statements without an answer, whatever the dialect.
    pub async fn execute(&self, sql: &str) {
        match &self.config {
            ReadModelConfig::Sqlite(path) => {
                let sqlite = rusqlite::Connection::open(path).unwrap();
                sqlite
                    .busy_timeout(std::time::Duration::from_secs(5))
                    .unwrap();
                sqlite.execute_batch(sql).unwrap();
            }
            ReadModelConfig::SqlServer(_) => {
                let mut raw = self.raw().await;
                raw.simple_query(sql)
                    .await
                    .unwrap()
                    .into_results()
                    .await
                    .unwrap();
            }
        }
    }

    /// Empty every table.
    pub async fn clear(&self) {
        let delete = |table| format!("DELETE FROM {};", self.table(table));
        self.execute(&TABLES.map(delete).concat()).await;
    }

    /// Every table with every row, as text.
    pub async fn dump(&self) -> Vec<(String, Vec<String>)> {
        let path: &PathBuf = match &self.config {
            ReadModelConfig::Sqlite(path) => path,
            ReadModelConfig::SqlServer(_) => return self.dump_server().await,
        };
        dump(path)
    }

    async fn dump_server(&self) -> Vec<(String, Vec<String>)> {
        let mut raw = self.raw().await;
        let mut tables = Vec::new();
        for table in TABLES {
            let sql = format!("SELECT * FROM {}", self.table(table));
            let rows = raw.simple_query(sql).await.unwrap();
            let rows = rows.into_first_result().await.unwrap();
            let text = |row: &tiberius::Row| {
                let cells: Vec<_> = row.cells().map(|(_, cell)| cell).collect();
                format!("{cells:?}")
            };
            let mut rows: Vec<String> = rows.iter().map(text).collect();
            rows.sort();
            tables.push((table.to_owned(), rows));
        }
        tables
    }

    /// Remove what the case made.
    pub async fn remove(&self) {
        let ReadModelConfig::SqlServer(config) = &self.config else {
            return;
        };
        let mut raw = self.raw().await;
        let schema = config.schema.as_str();
        for table in TABLES.iter().chain(&["refinery_schema_history"]) {
            let name = self.table(table);
            let drop = format!("IF OBJECT_ID(N'{schema}.{table}') IS NOT NULL DROP TABLE {name}");
            if let Err(error) = batch(&mut raw, &drop).await {
                eprintln!("{name} stays: {error}");
                raw = self.raw().await;
            }
        }
        let drop = format!("IF SCHEMA_ID(N'{schema}') IS NOT NULL DROP SCHEMA [{schema}]");
        if let Err(error) = batch(&mut raw, &drop).await {
            eprintln!("schema {schema} stays: {error}");
        }
    }
}

/// Run statements on a connection of the test's own.
pub async fn batch(raw: &mut Raw, sql: &str) -> tiberius::Result<()> {
    raw.simple_query(sql).await?.into_results().await?;
    Ok(())
}

pub async fn connect(url: &str) -> Raw {
    let config = tiberius::Config::from_ado_string(url).unwrap();
    let stream = TcpStream::connect(config.get_addr()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    tiberius::Client::connect(config, stream.compat_write())
        .await
        .unwrap()
}
